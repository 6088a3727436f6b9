use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::chain::reading::{ask_header, ask_latest, some_header};
use crate::chain::scripted::{ScriptedNode, Twist, hash_of};

fn asks() -> Vec<Ask> {
    vec![ask_header(1), ask_header(2), ask_header(3)]
}

async fn numbers(endpoint: &Endpoint) -> Result<Vec<u64>, ChainError> {
    let asks = asks();
    let read = |asks: &[Ask], replies: &[Reply]| {
        asks.iter().zip(replies).map(|(a, r)| Ok(some_header(a, r)?.number)).collect()
    };
    endpoint.read_as(&asks, read).await
}

/// Everything that can be wrong with one reply.
fn hostile() -> Vec<Twist> {
    vec![
        Twist::Html,
        Twist::Empty,
        Twist::Truncated,
        Twist::OtherJson,
        Twist::WrongIds,
        Twist::Partial,
        Twist::OneError(-32603, "internal error"),
        Twist::Refuse("eth_getBlockByNumber", -32000, "header not found"),
        Twist::Refuse("eth_getBlockByNumber", -32005, "limit exceeded"),
        Twist::Null("eth_getBlockByNumber"),
        Twist::WrongType,
        Twist::Status(413, None),
        Twist::Status(429, Some(3)),
        Twist::Status(500, None),
        Twist::Status(502, None),
        Twist::Status(301, None),
        Twist::Hang,
    ]
}

#[tokio::test(start_paused = true)]
async fn after_any_one_hostile_reply_a_read_is_repeated_and_succeeds() {
    for twist in hostile() {
        let node = ScriptedNode::at(9);
        node.twist([twist.clone()]);
        assert_eq!(numbers(&node.endpoint()).await, Ok(vec![1, 2, 3]), "{twist:?}");
        assert!(node.packets() >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_hostile_is_unreachable_after_five_tries() {
    for twist in hostile() {
        let node = ScriptedNode::at(9);
        node.twist(std::iter::repeat_n(twist.clone(), 100));
        let result = numbers(&node.endpoint()).await;
        let Err(ChainError::Unreachable { tries: 5, .. }) = result else {
            panic!("{twist:?} gave {result:?}")
        };
        assert!(node.packets() <= 16, "{twist:?} took {} packets", node.packets());
    }
}

#[tokio::test(start_paused = true)]
async fn replies_are_sorted_by_id_whatever_their_order_and_number() {
    for twist in [Twist::Reversed, Twist::Doubled] {
        let node = ScriptedNode::at(9);
        node.twist([twist]);
        assert_eq!(numbers(&node.endpoint()).await, Ok(vec![1, 2, 3]));
        assert_eq!(node.packets(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn failed_tries_are_told_with_the_wait_before_the_next() {
    let node = ScriptedNode::at(9);
    node.twist(std::iter::repeat_n(Twist::Status(502, None), 5));
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let notify: Notify = Arc::new(move |notice: &Notice| {
        sink.lock().unwrap().push(notice.to_string());
    });
    let started = Instant::now();
    let result = numbers(&node.endpoint().with_notify(notify)).await;
    assert!(matches!(result, Err(ChainError::Unreachable { .. })));
    assert_eq!(started.elapsed(), Duration::from_secs(1 + 2 + 4 + 8));
    let told = told.lock().unwrap();
    let starts = ["try 1 of 5 failed, retrying in 1 s", "try 2 of 5", "try 3 of 5", "try 4 of 5"];
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(told[4].starts_with("all 5 tries failed"), "{}", told[4]);
}

#[tokio::test(start_paused = true)]
async fn a_definite_refusal_is_not_repeated() {
    for (code, message) in [(-32601, "the method does not exist"), (3, "execution reverted")] {
        let node = ScriptedNode::at(9);
        node.twist([Twist::Refuse("eth_getBlockByNumber", code, message)]);
        let result = numbers(&node.endpoint()).await;
        assert!(matches!(result, Err(ChainError::Refused { .. })), "{result:?}");
        assert_eq!(node.packets(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_as_a_whole_gets_smaller_until_it_fits() {
    let node = ScriptedNode::at(9);
    node.twist([Twist::OneError(-32600, "batch too large"), Twist::Status(413, None)]);
    let endpoint = node.endpoint().with_batch(100);
    assert_eq!(numbers(&endpoint).await, Ok(vec![1, 2, 3]));
    assert_eq!(endpoint.batch_size(), 1);
    let sizes: Vec<usize> = node.facts().packets.iter().map(Vec::len).collect();
    assert_eq!(sizes[0], 3);
    assert_eq!(&sizes[sizes.len() - 3..], [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_batch_is_larger_than_the_profile_says() {
    let node = ScriptedNode::at(9);
    let endpoint = node.endpoint().with_batch(2);
    assert_eq!(numbers(&endpoint).await, Ok(vec![1, 2, 3]));
    let sizes: Vec<usize> = node.facts().packets.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn batches_of_a_public_node_grow_as_they_work_up_to_what_it_refuses() {
    let node = ScriptedNode::at(9);
    let endpoint = node.endpoint().with_batch(100);
    let asks: Vec<Ask> = (0..400).map(|_| ask_latest()).collect();
    let sizes = || -> Vec<usize> { node.facts().packets.iter().map(Vec::len).collect() };
    assert!(endpoint.read(&asks).await.is_ok());
    assert_eq!(sizes(), [32, 64, 100, 100, 100, 4]);
    node.twist([Twist::Status(413, None)]);
    assert!(endpoint.read(&asks[..200]).await.is_ok());
    assert_eq!(sizes()[6..], [100, 50, 50, 50, 50]);
    assert_eq!(endpoint.batch_size(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_rest_gets_it() {
    let node = ScriptedNode::at(9);
    node.twist([Twist::Status(429, Some(30))]);
    let started = Instant::now();
    assert!(numbers(&node.endpoint()).await.is_ok());
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    let node = ScriptedNode::at(9);
    node.twist([Twist::Status(429, Some(999_999))]);
    let started = Instant::now();
    assert!(numbers(&node.endpoint()).await.is_ok());
    assert_eq!(started.elapsed(), LONGEST_REST);
}

#[test]
fn an_endpoint_shows_scheme_and_host_and_nothing_that_could_be_a_key() {
    let url = "https://user:secret@rpc.example:8443/v3/secret?key=secret#secret";
    let endpoint = Endpoint::http(&url.parse().unwrap()).unwrap();
    assert_eq!(endpoint.name(), "https://rpc.example:8443");
    assert!(!format!("{endpoint:?}").contains("secret"));
}

#[test]
fn return_data_is_found_where_nodes_put_it() {
    for raw in [
        r#""0x0102""#,
        r#"{"data":"0x0102"}"#,
        r#"{"result":"0x0102","extra":1}"#,
        r#""Reverted 0x0102""#,
    ] {
        assert_eq!(
            wire::return_data(raw),
            Some(alloy::primitives::Bytes::from(vec![1, 2])),
            "{raw}"
        );
    }
    for raw in ["null", "1", r#""text""#, r#""0xzz""#, "{}", "[]", "{"] {
        assert_eq!(wire::return_data(raw), None, "{raw}");
    }
}

async fn serve(node: &ScriptedNode) -> (Url, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let router = node.router();
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

fn hasty() -> Timing {
    Timing { backoff: vec![Duration::ZERO; 2], ..Timing::loopback() }
}

#[tokio::test]
async fn over_http_the_same_node_says_the_same() {
    let node = ScriptedNode::at(9);
    let (url, server) = serve(&node).await;
    node.twist([Twist::Html, Twist::Status(502, None)]);
    let endpoint = Endpoint::http_with(&url, hasty()).unwrap();
    assert_eq!(numbers(&endpoint).await, Ok(vec![1, 2, 3]));
    let head = endpoint.read(&[ask_latest()]).await.unwrap();
    assert_eq!(some_header(&ask_latest(), &head[0]).unwrap().hash, hash_of(9, 0));
    server.abort();
}

#[tokio::test]
async fn nobody_at_the_port_is_no_connection_and_no_key_is_in_the_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-key", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let endpoint = Endpoint::http_with(&url, hasty()).unwrap();
    let error = numbers(&endpoint).await.unwrap_err();
    assert!(matches!(&error, ChainError::Unreachable { tries: 3, fault: Fault::Connect, .. }));
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let node = ScriptedNode::at(9);
    let (url, server) = serve(&node).await;
    let away = axum::response::Redirect::permanent(url.as_str());
    let router = Router::new().fallback(move || std::future::ready(away.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let redirecting = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let endpoint = Endpoint::http_with(&here, hasty()).unwrap();
    let result = endpoint.exchange(&asks()).await;
    assert!(matches!(result, Err(Fault::Status { status: 308, .. })));
    assert_eq!(node.packets(), 0);
    redirecting.abort();
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn an_optional_request_may_be_refused() {
    let node = ScriptedNode::at(9);
    let asks = [Ask::optional("eth_getBlockByNumber", json!(["finalized", false])), ask_latest()];
    let replies = node.endpoint().read(&asks).await.unwrap();
    assert!(matches!(replies[0], Err(Fault::Refused { .. })));
    assert!(replies[1].is_ok());
    assert_eq!(node.packets(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_above_the_quota_waits_for_its_turn() {
    let node = ScriptedNode::at(9);
    let endpoint = node.endpoint();
    endpoint.set_quota(Rate::parse("1/h").ok());
    assert!(endpoint.exchange(&asks()).await.is_ok());
    // The paused clock runs on to the end of this minute; the quota has a clock of its own.
    let second = tokio::time::timeout(Duration::from_secs(60), endpoint.exchange(&asks())).await;
    assert!(second.is_err(), "it did not wait");
    assert_eq!(node.packets(), 1);
    endpoint.set_quota(None);
    assert!(endpoint.exchange(&asks()).await.is_ok());
}
