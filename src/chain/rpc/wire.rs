//! One JSON-RPC packet there and one back: the transport under alloy's `RpcClient`.
//!
//! The reply is a stranger's. Its size and time are limited, redirects are not followed, and
//! whatever is not JSON-RPC becomes a [`Fault`]; no text of a URL or a body gets into one.

use std::task::{Context, Poll};

use alloy::primitives::Bytes;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::time::Duration;
use tower::{Service, ServiceExt};
use url::Url;

use super::Timing;
use crate::chain::error::Fault;

/// The most bytes of one reply: a page of 10,000 blocks of logs is a few MiB.
const MAX_REPLY: usize = 64 << 20;

/// A fault on its way through alloy's error type.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WireFault(pub(super) Fault);

/// Where packets go.
#[derive(Clone)]
pub(super) enum Wire {
    /// Over HTTP.
    Http { client: reqwest::Client, url: Url },
    /// Into a router in this process.
    Local { router: Router, total: Duration },
}

struct RawReply {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: bytes::Bytes,
}

impl Wire {
    pub(super) fn http(url: &Url, timing: &Timing, near: bool) -> Result<Self, Fault> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder()
            .connect_timeout(timing.connect)
            .timeout(timing.total)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ogflow/", env!("CARGO_PKG_VERSION")));
        let builder = if near { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|_| Fault::Connect)?;
        Ok(Self::Http { client, url: url.clone() })
    }

    pub(super) const fn local(router: Router, total: Duration) -> Self {
        Self::Local { router, total }
    }

    async fn exchange(self, packet: RequestPacket) -> Result<ResponsePacket, Fault> {
        let body = serde_json::to_vec(&packet).map_err(|_| Fault::NotJsonRpc)?;
        let reply = match self {
            Self::Http { client, url } => over_http(&client, url, body).await?,
            Self::Local { router, total } => {
                let reply = tokio::time::timeout(total, in_process(router, body));
                reply.await.map_err(|_| Fault::Silence)??
            }
        };
        read_packet(&reply)
    }
}

impl Service<RequestPacket> for Wire {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> TransportFut<'static> {
        let wire = self.clone();
        Box::pin(async move {
            wire.exchange(packet)
                .await
                .map_err(|fault| TransportErrorKind::custom(WireFault(fault)))
        })
    }
}

async fn over_http(client: &reqwest::Client, url: Url, body: Vec<u8>) -> Result<RawReply, Fault> {
    let request = client.post(url).header(header::CONTENT_TYPE, "application/json").body(body);
    let mut response = request.send().await.map_err(|error| broken(&error))?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err(Fault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(RawReply { status, retry_after, body: body.into() })
}

async fn in_process(router: Router, body: Vec<u8>) -> Result<RawReply, Fault> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("a request of constant parts is well-formed");
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Fault::TooLarge
        } else {
            Fault::Silence
        }
    })?;
    Ok(RawReply { status, retry_after, body: body.to_bytes() })
}

/// A JSON-RPC packet, whatever the status says; else the status; else nonsense.
///
/// Some nodes send their errors with a status of 400 or 500, and those say more than the status.
fn read_packet(reply: &RawReply) -> Result<ResponsePacket, Fault> {
    let RawReply { status, retry_after, body } = reply;
    let slow_down = *status == StatusCode::TOO_MANY_REQUESTS || retry_after.is_some();
    if status.is_success() || !slow_down {
        match serde_json::from_slice(body) {
            Ok(packet) => return Ok(packet),
            Err(error) if status.is_success() && error.is_eof() => return Err(Fault::Silence),
            Err(_) => {}
        }
    }
    if status.is_success() {
        return Err(Fault::NotJsonRpc);
    }
    Err(Fault::Status { status: status.as_u16(), retry_after: *retry_after })
}

fn broken(error: &reqwest::Error) -> Fault {
    if error.is_connect() { Fault::Connect } else { Fault::Silence }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The return data in an error's `data`: a hex string, in some nodes within an object.
pub(super) fn return_data(raw: &str) -> Option<Bytes> {
    let value: Value = serde_json::from_str(raw).ok()?;
    let text = value.as_str().or_else(|| {
        let inner = value.get("data").or_else(|| value.get("result"))?;
        inner.as_str()
    })?;
    let hex = text.trim_start_matches("Reverted ");
    hex.starts_with("0x").then(|| hex.parse().ok()).flatten()
}
