//! One HTTP exchange, over sockets or straight into a router.

use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower::ServiceExt;
use url::Url;

use super::error::{Cause, ContentError, Phase, Service};
use super::guard::{Guard, refused};
use crate::units::Untrusted;

/// How requests leave the program.
#[derive(Clone, Debug)]
pub enum Http {
    /// Through sockets, to addresses that the guard allows.
    Wire(reqwest::Client),
    /// Into a router of this process, whatever the host in the URL. No port is open.
    Local(Router),
}

/// A request as this room makes them.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) service: Service,
    pub(super) method: Method,
    pub(super) url: Url,
    /// Media type and bytes of what is sent.
    pub(super) body: Option<(String, Bytes)>,
}

impl Http {
    /// A client for sockets: rustls, no proxy from the environment, no redirects of its own, no
    /// cookies, no decompression, no silent retries.
    ///
    /// # Errors
    ///
    /// [`ContentError::Unreachable`] if the system's certificates cannot be used.
    pub fn wire(guard: &Guard, connect: Duration) -> Result<Self, ContentError> {
        install_tls();
        reqwest::Client::builder()
            .user_agent(concat!("ogflow/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(connect)
            .dns_resolver(GuardedResolver(guard.clone()))
            .build()
            .map(Self::Wire)
            .map_err(|error| ContentError::Unreachable {
                service: Service::Gateway,
                host: Untrusted::from("(no client)"),
                source: error.into(),
            })
    }

    /// Sends one request and returns the reply's head; its body is still to be read.
    ///
    /// The caller limits the time; `connect` is only named in the error.
    pub(super) async fn send(
        &self,
        ask: Ask,
        connect: Duration,
    ) -> Result<Response<Body>, ContentError> {
        match self {
            Self::Wire(client) => wire(client, ask, connect).await,
            Self::Local(router) => local(router.clone(), ask).await,
        }
    }
}

async fn wire(
    client: &reqwest::Client,
    ask: Ask,
    connect: Duration,
) -> Result<Response<Body>, ContentError> {
    let Ask { service, method, url, body } = ask;
    let mut request = client.request(method, url.clone());
    if let Some((media, bytes)) = body {
        request = request.header(CONTENT_TYPE, media).body(bytes);
    }
    let reply = request.send().await.map_err(|error| explain(error, service, &url, connect))?;
    Ok(Response::from(reply).map(Body::new))
}

async fn local(router: Router, ask: Ask) -> Result<Response<Body>, ContentError> {
    let Ask { service, method, url, body } = ask;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder().method(method).uri(target);
    let bytes = match body {
        Some((media, bytes)) => {
            request = request.header(CONTENT_TYPE, media);
            bytes
        }
        None => Bytes::new(),
    };
    let request = request.body(Body::from(bytes)).map_err(|error| ContentError::Unreachable {
        service,
        host: host(&url),
        source: error.into(),
    })?;
    match router.oneshot(request).await {
        Ok(reply) => Ok(reply),
        Err(never) => match never {},
    }
}

/// Host and port, for messages.
pub(super) fn host(url: &Url) -> Untrusted {
    Untrusted::from(&url[url::Position::BeforeHost..url::Position::AfterPort])
}

/// A client error in this room's words. The resolver's refusal travels inside it.
fn explain(error: reqwest::Error, service: Service, url: &Url, connect: Duration) -> ContentError {
    if let Some(rule) = refusal(&error) {
        return refused(url.as_str(), rule);
    }
    if error.is_timeout() {
        return ContentError::TooSlow {
            service,
            host: host(url),
            phase: Phase::Connect,
            limit: connect,
        };
    }
    ContentError::Unreachable { service, host: host(url), source: error.without_url().into() }
}

fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<super::guard::Rule> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ContentError::Refused { rule, .. }) = error.downcast_ref() {
            return Some(*rule);
        }
        next = error.source();
    }
    None
}

/// Resolves names with the system's resolver and passes on only what the guard allows. The
/// client connects to nothing else, so what was judged is what is connected to.
#[derive(Clone, Debug)]
struct GuardedResolver(Guard);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept = keep(&guard, name.as_str(), found)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to; an error if there were only others.
fn keep(
    guard: &Guard,
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Cause> {
    let mut kept = Vec::new();
    let mut denied = None;
    for address in found {
        match guard.judge_address(address.ip()) {
            Ok(()) => kept.push(address),
            Err(rule) => denied = Some(rule),
        }
    }
    match denied {
        Some(rule) if kept.is_empty() => Err(refused(name, rule).into()),
        _ => Ok(kept),
    }
}

/// Makes ring the process's TLS provider, once. Another room may have done so before.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = rustls::crypto::ring::default_provider().install_default().err();
        drop(earlier);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::guard::{Range, Rule};
    use crate::units::Network;

    fn get(url: &str) -> Ask {
        let url = url.parse().unwrap();
        Ask { service: Service::Gateway, method: Method::GET, url, body: None }
    }

    #[test]
    fn of_mixed_addresses_only_the_public_ones_are_connected_to() {
        let guard = Guard::new(&Network::testnet()).unwrap();
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let mixed = ["127.0.0.1:0", "8.8.8.8:0", "[::1]:0", "169.254.169.254:0"].map(address);
        assert_eq!(keep(&guard, "a", mixed.into_iter()).unwrap(), [address("8.8.8.8:0")]);
        let private = ["10.0.0.1:0", "[fd00::1]:0"].map(address);
        assert!(keep(&guard, "a", private.into_iter()).is_err());
        let open = Network { allow_private_hosts: true, ..Network::testnet() };
        let guard = Guard::new(&open).unwrap();
        assert_eq!(keep(&guard, "a", private.into_iter()).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_gets_no_connection() {
        let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = canary.local_addr().unwrap().port();
        let guard = Guard::new(&Network::testnet()).unwrap();
        let http = Http::wire(&guard, Duration::from_secs(1)).unwrap();
        let ask = http.send(get(&format!("http://localhost:{port}/")), Duration::ZERO);
        let reply = tokio::time::timeout(Duration::from_secs(10), ask).await.unwrap();
        let Err(ContentError::Refused { rule, .. }) = reply else { panic!("{reply:?}") };
        assert_eq!(rule, Rule::Address(Range::Loopback));
        let knock = std::pin::pin!(canary.accept());
        assert!(futures::poll!(knock).is_pending(), "someone connected");
    }

    #[tokio::test]
    async fn a_closed_port_is_no_response() {
        let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", unused.local_addr().unwrap());
        drop(unused);
        let open = Network { allow_private_hosts: true, ..Network::testnet() };
        let http = Http::wire(&Guard::new(&open).unwrap(), Duration::from_secs(1)).unwrap();
        let reply = http.send(get(&url), Duration::from_secs(1)).await;
        assert!(matches!(reply, Err(ContentError::Unreachable { .. })), "{reply:?}");
    }
}
