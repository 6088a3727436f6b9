//! Providers whose work a real `ogpu.service` container does.
//!
//! The provider posts the task's `data` object to `/run/<function>/<task>`; the container accepts
//! with 202, works, and posts its output to `CALLBACK_URL/<task>` (protocol.md, section 7). That
//! URL is the devnet's `/callback`. A container that refuses (404, 422) or never calls back
//! leaves the task to its expiry, as on the network: silence is the only failure there is.
//!
//! A container gets so many tasks at once, no more. One that does not call back keeps its place
//! for `PLACE_HELD` and is waited for beyond that without a place, so that a handler
//! that raises does not stop the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::Address;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};
use url::Url;

/// How many tasks a container works on at once.
const PLACES: usize = 32;

/// How long a task keeps its place when nothing comes back.
const PLACE_HELD: Duration = Duration::from_secs(20);

/// The largest output that a container may post: pictures come as base64 in JSON.
const LARGEST_OUTPUT: usize = 64 << 20;

/// How long a container may take to accept a task.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30);

/// How often and how far apart a container that does not listen yet is asked again.
const KNOCKS: u32 = 60;
const BETWEEN_KNOCKS: Duration = Duration::from_secs(1);

/// Who waits for which callback.
#[derive(Debug, Default)]
pub struct Callbacks {
    waiting: Mutex<BTreeMap<Address, oneshot::Sender<Value>>>,
}

impl Callbacks {
    /// What the container will post for `task`. A second call for it replaces the first.
    fn expect(&self, task: Address) -> oneshot::Receiver<Value> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(task, sender);
        receiver
    }

    /// Takes what a container posted for `task`: 200 if somebody waited for it.
    ///
    /// 404 for a task that nobody waits for (unknown, expired, or posted twice), 422 for a
    /// body that is not a JSON object.
    pub fn deliver(&self, task: &str, body: &[u8]) -> StatusCode {
        let Ok(task) = task.parse::<Address>() else { return StatusCode::NOT_FOUND };
        let output = match serde_json::from_slice::<Value>(body) {
            Ok(output) if output.is_object() => output,
            Ok(_) | Err(_) => return StatusCode::UNPROCESSABLE_ENTITY,
        };
        let sender = self.waiting().remove(&task);
        match sender.map(|sender| sender.send(output)) {
            Some(Ok(())) => StatusCode::OK,
            Some(Err(_)) | None => StatusCode::NOT_FOUND,
        }
    }

    fn forget(&self, task: Address) {
        self.waiting().remove(&task);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<Address, oneshot::Sender<Value>>> {
        // The map is whole between any two lines that hold the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The route that containers post to: `POST /callback/{task}`.
pub fn callback_routes(callbacks: Arc<Callbacks>) -> Router {
    Router::new()
        .route("/callback/{task}", post(callback))
        .layer(DefaultBodyLimit::max(LARGEST_OUTPUT))
        .with_state(callbacks)
}

async fn callback(
    State(callbacks): State<Arc<Callbacks>>,
    Path(task): Path<String>,
    body: Bytes,
) -> StatusCode {
    callbacks.deliver(&task, &body)
}

/// Why a container gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Nobody listens at its address.
    #[error("no service listens at {url}")]
    Unreachable {
        /// Where.
        url: Url,
        /// What the connection said.
        #[source]
        source: reqwest::Error,
    },
    /// It answered with something else than 202: 404 for an unknown function, 422 for data that
    /// do not fit.
    #[error("the service at {url} refused the task with status {status}")]
    Refused {
        /// Where.
        url: Url,
        /// What it said.
        status: u16,
    },
    /// It accepted and then never called back.
    #[error("the service at {url} did not call back")]
    Silent {
        /// Where.
        url: Url,
    },
    /// The HTTP client could not be made.
    #[error("no HTTP client for services")]
    Client {
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
}

impl ServiceError {
    /// What the user can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "start the service, or correct `--service SOURCE=URL`",
            Self::Refused { status: 404, .. } => "the service exposes no function of that name",
            Self::Refused { .. } => "the data do not fit the handler's input model",
            Self::Silent { .. } => {
                "set the service's CALLBACK_URL to the devnet's `/callback`; its log says what \
                 the handler raised"
            }
            Self::Client { .. } => "see the cause",
        }
    }
}

/// A service container.
#[derive(Clone, Debug)]
pub struct Service {
    url: Url,
    client: reqwest::Client,
    callbacks: Arc<Callbacks>,
    places: Arc<Semaphore>,
}

impl Service {
    /// The container at `url`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: Url, callbacks: Arc<Callbacks>) -> Result<Self, ServiceError> {
        // A client wants a TLS provider even if it never uses it; one that is there stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ACCEPT_WITHIN)
            .build()
            .map_err(|source| ServiceError::Client { source })?;
        Ok(Self { url, client, callbacks, places: Arc::new(Semaphore::new(PLACES)) })
    }

    /// Runs `function` on `data` for `task`; returns the output that the container posts back.
    ///
    /// Waits for a place first, then at most `until` for the callback.
    ///
    /// # Errors
    /// When the container does not listen, refuses, or stays silent.
    ///
    /// # Panics
    /// Never: a JSON object can always be written.
    pub async fn run(
        &self,
        task: Address,
        function: &str,
        data: &Map<String, Value>,
        until: Duration,
    ) -> Result<Value, ServiceError> {
        let deadline = tokio::time::Instant::now() + until;
        let silent = || ServiceError::Silent { url: self.url.clone() };
        let place = tokio::time::timeout_at(deadline, self.places.acquire()).await;
        let place = place.map_err(|_| silent())?.map_err(|_| silent())?;
        let mut output = self.callbacks.expect(task);
        let accepted = self.ask(task, function, data, deadline).await;
        let result = match accepted {
            Ok(()) => {
                let held = deadline.min(tokio::time::Instant::now() + PLACE_HELD);
                let early = tokio::time::timeout_at(held, &mut output).await;
                drop(place);
                match early {
                    Ok(result) => result.ok(),
                    Err(_) => {
                        tokio::time::timeout_at(deadline, output).await.ok().and_then(Result::ok)
                    }
                }
                .ok_or_else(silent)
            }
            Err(error) => Err(error),
        };
        self.callbacks.forget(task);
        result
    }

    /// Posts the data until the container accepts or refuses; knocks again where nobody listens.
    async fn ask(
        &self,
        task: Address,
        function: &str,
        data: &Map<String, Value>,
        deadline: tokio::time::Instant,
    ) -> Result<(), ServiceError> {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["run", function, &task.to_string()]);
        }
        let body = serde_json::to_vec(data).expect("a JSON object can be written");
        let mut knocks = 0;
        loop {
            let request = self.client.post(url.clone()).body(body.clone());
            let reply = request.header("content-type", "application/json").send().await;
            let source = match reply {
                Ok(reply) if reply.status() == 202 => return Ok(()),
                Ok(reply) => {
                    let status = reply.status().as_u16();
                    return Err(ServiceError::Refused { url: self.url.clone(), status });
                }
                Err(source) => source,
            };
            knocks += 1;
            let next = tokio::time::Instant::now() + BETWEEN_KNOCKS;
            if !source.is_connect() || knocks >= KNOCKS || next >= deadline {
                return Err(ServiceError::Unreachable { url: self.url.clone(), source });
            }
            tokio::time::sleep_until(next).await;
        }
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
