//! The wire between the program and a node: what gets lost, late, doubled or garbled on it.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use super::dice::Dice;
use super::node;
use super::points::{Edge, pass};
use super::world::{Shared, held};

/// What goes wrong with one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The request never comes; nobody says so.
    LostThere,
    /// The request is served, the reply never comes.
    LostBack,
    /// The request is served, then the connection is reset.
    Reset,
    /// The same in the middle of the reply.
    ResetMidway,
    SlowDown,
    Unavailable,
    /// A web page of a proxy, after the request was served.
    BadGateway,
    Html,
    Truncated,
    Doubled,
    Reversed,
    WrongIds,
    Partial,
    OneError,
    TooLarge,
}

impl Fault {
    const ALL: [Self; 15] = [
        Self::LostThere,
        Self::LostBack,
        Self::Reset,
        Self::ResetMidway,
        Self::SlowDown,
        Self::Unavailable,
        Self::BadGateway,
        Self::Html,
        Self::Truncated,
        Self::Doubled,
        Self::Reversed,
        Self::WrongIds,
        Self::Partial,
        Self::OneError,
        Self::TooLarge,
    ];

    /// Whether the node sees the request.
    const fn is_served(self) -> bool {
        !matches!(self, Self::LostThere | Self::SlowDown | Self::Unavailable | Self::TooLarge)
    }
}

/// One node as the router that serves it.
pub(super) fn router(world: &Shared, node: usize) -> Router {
    let life = held(world).counts.lives;
    let state = (Shared::clone(world), node, life);
    Router::new().route("/", post(serve)).with_state(state)
}

async fn serve(
    State((world, node, life)): State<(Shared, usize, u64)>,
    body: String,
) -> Response<Body> {
    let requests: Vec<Value> = match serde_json::from_str(&body).unwrap() {
        Value::Array(requests) => requests,
        single => vec![single],
    };
    let (dice, fault, lag) = luck(&world, node, &requests);
    tokio::time::sleep(Duration::from_millis(1 + dice.at("there", 0).below(60))).await;
    if fault == Some(Fault::LostThere) {
        std::future::pending::<()>().await;
    }
    let served = fault.is_none_or(Fault::is_served);
    let names = node::names(&world, &requests);
    pass(&world, life, &names, Edge::Before).await;
    let replies = if served { node::replies(&world, node, &requests, lag) } else { Vec::new() };
    pass(&world, life, &names, Edge::After).await;
    tokio::time::sleep(Duration::from_millis(1 + dice.at("back", 0).below(60))).await;
    if fault == Some(Fault::LostBack) {
        std::future::pending::<()>().await;
    }
    sent(fault, replies)
}

/// The luck of one exchange: by what is asked, whom and when, not by the order of questions.
fn luck(world: &Shared, node: usize, requests: &[Value]) -> (Dice, Option<Fault>, Option<u64>) {
    let mut world = held(world);
    let mut dice = world.setting.dice.at("node", node as u64).at("now", world.now());
    for request in requests {
        let method = request["method"].as_str().unwrap();
        dice = dice.of(method.as_bytes()).of(request["params"].to_string().as_bytes());
    }
    world.counts.packets += 1;
    let kinds: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request["method"].as_str().unwrap()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    *world.kinds.entry(kinds.join(" ")).or_default() += 1;
    let first = requests.first().map(|request| &request["method"]);
    world.counts.sends += u64::from(first.is_some_and(|m| m == "eth_sendRawTransaction"));
    let rates = world.setting.rates;
    if world.is_calm() {
        return (dice, None, None);
    }
    let fault = dice.at("fault", 0).chance(rates.wire).then(|| {
        let which = dice.at("which", 0).below(Fault::ALL.len() as u64);
        Fault::ALL[usize::try_from(which).unwrap()]
    });
    world.counts.faults += u64::from(fault.is_some());
    let lag = dice.at("lag", 0).chance(rates.lag).then(|| 1 + dice.at("blocks", 0).below(6));
    (dice, fault, lag)
}

fn sent(fault: Option<Fault>, mut replies: Vec<Value>) -> Response<Body> {
    let page = || "<html><body>Bad Gateway</body></html>".to_owned();
    let status = |code: u16| Response::builder().status(StatusCode::from_u16(code).unwrap());
    let Some(fault) = fault else { return whole(Value::from(replies).to_string()) };
    match fault {
        Fault::LostThere | Fault::LostBack | Fault::Reset => whole(String::new()),
        Fault::ResetMidway => {
            let text = Value::from(replies).to_string();
            let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
            let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            whole(Body::from_stream(futures::stream::iter([Ok(half), Err(reset)])))
        }
        Fault::SlowDown => {
            let slow = status(429).header("retry-after", 2);
            slow.body(Body::from(page())).unwrap()
        }
        Fault::Unavailable => status(503).body(Body::from(page())).unwrap(),
        Fault::BadGateway => status(502).body(Body::from(page())).unwrap(),
        Fault::TooLarge => status(413).body(Body::from(page())).unwrap(),
        Fault::Html => whole(page()),
        Fault::Truncated => {
            let mut text = Value::from(replies).to_string();
            text.truncate(text.len() * 2 / 3);
            whole(text)
        }
        Fault::Doubled => {
            let twice: Vec<Value> = replies.iter().chain(&replies).cloned().collect();
            whole(Value::from(twice).to_string())
        }
        Fault::Reversed => {
            replies.reverse();
            whole(Value::from(replies).to_string())
        }
        Fault::WrongIds => {
            replies.iter_mut().for_each(|reply| reply["id"] = json!(987_654_321));
            whole(Value::from(replies).to_string())
        }
        Fault::Partial => {
            replies.pop();
            whole(Value::from(replies).to_string())
        }
        Fault::OneError => {
            let error = json!({"code": -32603, "message": "internal error"});
            whole(json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string())
        }
    }
}

fn whole(body: impl Into<Body>) -> Response<Body> {
    Response::new(body.into())
}
