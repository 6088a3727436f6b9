//! The devnet's one router: JSON-RPC on `POST /`, pins on `POST /file/create`, contents on
//! `GET /ipfs/<cid>` (protocol.md, sections 7 and 11).
//!
//! The same router answers in process and over TCP. Requests run on the blocking pool, because
//! they execute contracts and wait for the disk.

mod envelope;
mod method;
mod params;
mod shape;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::error::DevnetError;
use super::handle::Devnet;
use crate::units::cid::Cid;

/// The longest body of a JSON-RPC batch or of a file to pin, in bytes.
const MAX_BODY: usize = 256 << 20;

impl Devnet {
    /// Everything that the devnet serves.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(rpc))
            .route("/file/create", post(pin))
            .route("/ipfs/{cid}", get(content))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone())
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DevnetError> + Send + 'static,
) -> Result<T, Response> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure(StatusCode::INTERNAL_SERVER_ERROR, &chain_of(&error))),
        Err(_) => Err(failure(StatusCode::INTERNAL_SERVER_ERROR, "the devnet stopped")),
    }
}

fn chain_of(error: &DevnetError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn failure(status: StatusCode, text: &str) -> Response {
    let body = serde_json::json!({ "error": text }).to_string();
    json(status, body)
}

fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn rpc(State(devnet): State<Devnet>, body: Bytes) -> Response {
    match blocking(move || Ok(envelope::handle(&devnet, &body))).await {
        Ok(reply) => json(StatusCode::OK, reply),
        Err(failed) => failed,
    }
}

/// One file in one part named `file`, as the SDK sends it.
async fn pin(State(devnet): State<Devnet>, mut form: Multipart) -> Response {
    let content = match form.next_field().await {
        Ok(Some(field)) if field.name() == Some("file") => field.bytes().await,
        Ok(_) => return failure(StatusCode::BAD_REQUEST, "the form has no part named `file`"),
        Err(error) => return failure(error.status(), &error.body_text()),
    };
    let content = match content {
        Ok(content) => content,
        Err(error) => return failure(error.status(), &error.body_text()),
    };
    match blocking(move || devnet.pin(&content)).await {
        Ok(link) => json(StatusCode::OK, serde_json::json!({ "link": link }).to_string()),
        Err(failed) => failed,
    }
}

async fn content(State(devnet): State<Devnet>, Path(cid): Path<String>) -> Response {
    let Ok(cid) = cid.parse::<Cid>() else {
        return failure(StatusCode::BAD_REQUEST, "not a content id");
    };
    match blocking(move || devnet.pinned(&cid)).await {
        Ok(Some(content)) => {
            let kind = match content.first() {
                Some(b'{' | b'[') => "application/json",
                _ => "application/octet-stream",
            };
            ([(header::CONTENT_TYPE, kind)], content.0).into_response()
        }
        Ok(None) => failure(StatusCode::NOT_FOUND, "nothing is pinned under this content id"),
        Err(failed) => failed,
    }
}
