use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use futures::stream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::guard::Range;
use super::*;
use crate::content::{Body, Proof};

const HELLO: &str = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";

struct Fixture {
    content: NetworkContent,
    folder: TempDir,
}

impl Fixture {
    fn new(network: &Network, http: Http, change: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let mut limits = Limits::for_network(&Network::testnet());
        change(&mut limits);
        Self { content: NetworkContent::new(network, http, limits, blobs).unwrap(), folder }
    }

    /// Over sockets, with servers of this machine as gateways.
    fn wire(servers: &[SocketAddr], change: impl FnOnce(&mut Limits)) -> Self {
        let network = Network {
            gateways: servers.iter().map(|server| format!("http://{server}/ipfs/")).collect(),
            allow_private_hosts: true,
            ..Network::testnet()
        };
        let http = Http::wire(&Guard::new(&network).unwrap(), Duration::from_secs(5)).unwrap();
        Self::new(&network, http, change)
    }

    /// Into a router, under the rules of the testnet.
    fn local(router: Router, change: impl FnOnce(&mut Limits)) -> Self {
        let network = Network {
            gateways: vec!["https://one.example/ipfs/".into(), "https://two.example/ipfs".into()],
            ..Network::testnet()
        };
        Self::new(&network, Http::Local(router), change)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("blobs")).unwrap().count()
    }
}

/// A server that answers each connection with the same bytes, repeated `times`, and hangs up.
async fn raw(reply: Vec<u8>, times: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, reply.clone(), times));
        }
    });
    address
}

async fn answer(mut socket: TcpStream, reply: Vec<u8>, times: usize) -> std::io::Result<()> {
    let read = socket.read(&mut [0; 4096]).await?;
    for _ in 0..times * read.min(1) {
        socket.write_all(&reply).await?;
    }
    Ok(())
}

fn with_body(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_file_comes_over_a_socket_hashed_and_proved_by_its_id() {
    let server = raw(with_body("hello world\n"), 1).await;
    let fixture = Fixture::wire(&[server], |_| ());
    let fetched = fixture.content.fetch(&format!("http://{server}/ipfs/{HELLO}")).await.unwrap();
    assert_eq!(fetched.sha256, crate::units::cid::sha256(b"hello world\n"));
    assert_eq!((fetched.len, fetched.proof), (12, Proof::Verified));
    assert_eq!(fetched.body, Body::Inline(Bytes::from_static(b"hello world\n")));
    let fetched = fixture.content.fetch(&format!("http://{server}/out.json")).await.unwrap();
    assert_eq!(fetched.proof, Proof::NoCid);
    assert_eq!(fixture.files(), 0, "small outputs make no file");
}

#[tokio::test]
async fn wrong_bytes_behind_an_id_are_refused_and_the_next_gateway_is_tried() {
    let liar = raw(with_body("hello world!"), 1).await;
    let url = format!("http://{liar}/ipfs/{HELLO}");
    let alone = Fixture::wire(&[liar], |_| ()).content.fetch(&url).await;
    assert!(matches!(alone, Err(ContentError::WrongBytes { .. })), "{alone:?}");
    let honest = raw(with_body("hello world\n"), 1).await;
    let both = Fixture::wire(&[liar, honest], |_| ()).content.fetch(&url).await.unwrap();
    assert_eq!(both.proof, Proof::Verified);
}

#[tokio::test]
async fn a_missing_file_is_worth_a_later_try_and_a_forbidden_one_is_not() {
    let gone = raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), 1).await;
    let error = Fixture::wire(&[gone], |_| ())
        .content
        .fetch(&format!("http://{gone}/a"))
        .await
        .unwrap_err();
    assert!(matches!(error, ContentError::Status { status: 404, .. }), "{error:?}");
    assert!(error.is_transient());
    let no = raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec(), 1).await;
    let error =
        Fixture::wire(&[no], |_| ()).content.fetch(&format!("http://{no}/a")).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_output() {
    let mut reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec();
    reply.extend_from_slice(&[b'x'; 70]);
    let server = raw(reply, 1).await;
    let error = Fixture::wire(&[server], |_| ())
        .content
        .fetch(&format!("http://{server}/a"))
        .await
        .unwrap_err();
    assert!(matches!(error, ContentError::CutOff { .. }), "{error:?}");
    assert!(error.is_transient());
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    let server = raw(chunks, 1).await;
    let fixture = Fixture::wire(&[server], |_| ());
    let error = fixture.content.fetch(&format!("http://{server}/a")).await.unwrap_err();
    assert!(matches!(error, ContentError::CutOff { got: 5, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_http_is_no_response() {
    for reply in ["", "nonsense\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n"] {
        let server = raw(reply.as_bytes().to_vec(), 1).await;
        let fixture = Fixture::wire(&[server], |_| ());
        let error = fixture.content.fetch(&format!("http://{server}/a")).await.unwrap_err();
        assert!(matches!(error, ContentError::Unreachable { .. }), "{reply:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_stops_at_the_limit_and_leaves_no_file() {
    let zeros = [vec![0; 64 * 1024], b"\r\n".to_vec()].concat();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".to_vec(), zeros].concat();
    let server = raw([head.to_vec(), chunk.repeat(200)].concat(), 1).await;
    let fixture = Fixture::wire(&[server], |limits| limits.bytes = 1 << 20);
    let error = fixture.content.fetch(&format!("http://{server}/a")).await.unwrap_err();
    assert!(matches!(error, ContentError::TooLarge { limit: 1_048_576, .. }), "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(fixture.files(), 0);
    let announced =
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), 1).await;
    let fixture = Fixture::wire(&[announced], |_| ());
    let error = fixture.content.fetch(&format!("http://{announced}/a")).await.unwrap_err();
    assert!(matches!(error, ContentError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_packed_body_stays_packed() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8bzz";
    let server = raw(reply.to_vec(), 1).await;
    let fixture = Fixture::wire(&[server], |_| ());
    let fetched = fixture.content.fetch(&format!("http://{server}/a")).await.unwrap();
    assert_eq!(fetched.body, Body::Inline(Bytes::from_static(b"\x1f\x8bzz")));
}

#[tokio::test]
async fn a_redirect_to_an_unlisted_port_of_this_machine_connects_to_nothing() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = canary.local_addr().unwrap();
    for target in [
        format!("http://{place}/"),
        format!("https://{place}/"),
        format!("http://user@{place}/"),
        format!("//{place}/x"),
        format!("http://0x7f.1:{}/", place.port()),
        format!("http://localhost:{}/", place.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", place.port()),
        "file:///etc/passwd".into(),
        "http://169.254.169.254/latest/".into(),
    ] {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        let server = raw(head.into_bytes(), 1).await;
        let fixture = Fixture::wire(&[server], |_| ());
        let error = fixture.content.fetch(&format!("http://{server}/a")).await.unwrap_err();
        assert!(matches!(error, ContentError::Refused { .. }), "{target}: {error:?}");
    }
    let knock = std::pin::pin!(canary.accept());
    assert!(futures::poll!(knock).is_pending(), "someone connected");
}

#[tokio::test]
async fn refused_urls_connect_to_nothing() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let network = Network { allow_any_https: true, ..Network::testnet() };
    let http = Http::wire(&Guard::new(&network).unwrap(), Duration::from_secs(1)).unwrap();
    let fixture = Fixture::new(&network, http, |_| ());
    for host in ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            let error = fixture.content.fetch(&url).await.unwrap_err();
            assert!(matches!(error, ContentError::Refused { .. }), "{url}: {error:?}");
        }
    }
    let knock = std::pin::pin!(canary.accept());
    assert!(futures::poll!(knock).is_pending(), "someone connected");
}

#[tokio::test]
async fn redirects_are_followed_three_times_and_judged_each_time() {
    let hop = |Path(left): Path<u32>| async move {
        match left {
            0 => "arrived".into_response(),
            99 => Redirect::to("https://169.254.169.254/meta").into_response(),
            n => Redirect::to(&format!("/hop/{}", n - 1)).into_response(),
        }
    };
    let fixture = Fixture::local(Router::new().route("/hop/{left}", get(hop)), |_| ());
    let fetch = |left: u32| {
        let url = format!("https://one.example/hop/{left}");
        let content = &fixture.content;
        async move { content.fetch(&url).await }
    };
    assert_eq!(fetch(3).await.unwrap().body, Body::Inline(Bytes::from_static(b"arrived")));
    let refusal = |result: Result<Fetched, ContentError>| match result {
        Err(ContentError::Refused { rule, .. }) => rule,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(fetch(4).await), Rule::Redirects);
    assert_eq!(refusal(fetch(99).await), Rule::Unlisted);
    let open = Network { allow_any_https: true, ..Network::testnet() };
    let router = Router::new().route("/hop/{left}", get(hop));
    let fixture = Fixture::new(&open, Http::Local(router), |_| ());
    let found = fixture.content.fetch("https://any.example.org/hop/99").await;
    assert_eq!(refusal(found), Rule::Address(Range::LinkLocal));
}

#[tokio::test]
async fn a_content_id_is_asked_for_at_every_listed_gateway_whatever_host_named_it() {
    let router = Router::new().route(
        "/ipfs/{cid}",
        get(|Path(cid): Path<String>| async move {
            if cid == HELLO { "hello world\n".into_response() } else { "other".into_response() }
        }),
    );
    let fixture = Fixture::local(router, |_| ());
    for url in [
        format!("https://stranger.example.org/ipfs/{HELLO}"),
        format!("http://127.0.0.1:22/ipfs/{HELLO}"),
        format!("ipfs://{HELLO}"),
        format!("https://two.example/ipfs/{HELLO}?filename=x"),
    ] {
        let fetched = fixture.content.fetch(&url).await;
        assert_eq!(fetched.unwrap().proof, Proof::Verified, "{url}");
    }
    let other = fixture.content.fetch("https://stranger.example.org/ipfs/QmNothing").await;
    assert!(matches!(other, Err(ContentError::Refused { rule: Rule::Unlisted, .. })), "{other:?}");
}

/// A body of `count` pieces, each `gap` after the one before.
fn drip(count: u32, gap: Duration) -> HttpBody {
    HttpBody::from_stream(stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        tokio::time::sleep(gap).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), sent + 1))
    }))
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_end_at_the_idle_or_the_total_limit_and_free_their_place() {
    let router = Router::new()
        .route("/steady", get(|| async { drip(10, Duration::from_secs(19)) }))
        .route("/stuck", get(|| async { drip(10, Duration::from_secs(3600)) }))
        .route("/endless", get(|| async { drip(u32::MAX, Duration::from_secs(5)) }))
        .route("/mute", get(std::future::pending::<&'static str>));
    let fixture = Fixture::local(router, |limits| limits.per_host = 1);
    let fetch = |path: &str| {
        let url = format!("https://one.example{path}");
        let content = &fixture.content;
        async move {
            let start = Instant::now();
            (content.fetch(&url).await, start.elapsed().as_secs())
        }
    };
    let (steady, _) = fetch("/steady").await;
    assert_eq!(steady.unwrap().len, 10);
    for (path, expected, seconds) in
        [("/stuck", Phase::Idle, 20), ("/endless", Phase::Total, 300), ("/mute", Phase::Idle, 30)]
    {
        let (result, took) = fetch(path).await;
        let Err(ContentError::TooSlow { phase, .. }) = result else { panic!("{path}: {result:?}") };
        assert_eq!((phase, took), (expected, seconds), "{path}");
    }
    assert!(fetch("/steady").await.0.is_ok(), "the one place is free again");
}

#[tokio::test(start_paused = true)]
async fn one_slow_host_keeps_no_place_from_the_others() {
    let router = Router::new()
        .route("/slow", get(|| async { drip(2, Duration::from_secs(10)) }))
        .route("/fast", get(|| async { "x" }));
    let fixture = Fixture::local(router, |limits| (limits.per_host, limits.fetches) = (1, 2));
    let start = Instant::now();
    let slow = futures::future::join_all(
        (0..5).map(|_| fixture.content.fetch("https://one.example/slow")),
    );
    let fast = async {
        fixture.content.fetch("https://two.example/fast").await.unwrap();
        start.elapsed()
    };
    let (slow, fast) = futures::future::join(slow, fast).await;
    assert_eq!(fast, Duration::ZERO);
    assert!(slow.iter().all(Result::is_ok));
    assert_eq!(start.elapsed(), Duration::from_secs(100), "one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_gives_its_place_back_before_it_takes_another() {
    let router = Router::new()
        .route("/a", get(|| async { Redirect::to("/b") }))
        .route("/b", get(|| async { "x" }));
    let fixture = Fixture::local(router, |limits| (limits.per_host, limits.fetches) = (1, 1));
    let fetch = fixture.content.fetch("https://one.example/a");
    let fetched = timeout(Duration::from_secs(3600), fetch).await.expect("it waits for itself");
    assert_eq!(fetched.unwrap().len, 1);
}

#[tokio::test]
async fn a_large_output_becomes_a_blob_that_reads_back() {
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(900_000).collect();
    let served = bytes.clone();
    let router = Router::new().route("/ipfs/{cid}", get(|| async move { served }));
    let fixture = Fixture::local(router, |_| ());
    let url = format!("https://one.example/ipfs/{}", Cid::for_file(&bytes));
    let fetched = fixture.content.fetch(&url).await.unwrap();
    assert_eq!((fetched.len, &fetched.body), (900_000, &Body::Blob));
    assert_eq!(fetched.proof, Proof::Verified, "over several chunks");
    assert_eq!(fixture.content.blob(fetched.sha256).await.unwrap(), bytes);
    let other = format!("https://one.example/ipfs/{}", Cid::for_file(&bytes[1..]));
    assert_eq!(fixture.content.fetch(&other).await.unwrap().proof, Proof::Unverified);
}

#[tokio::test]
async fn the_limits_of_memory_and_of_size_are_exact() {
    let router =
        Router::new().route("/{len}", get(|Path(len): Path<usize>| async move { vec![b'x'; len] }));
    let fixture = Fixture::local(router, |limits| limits.bytes = 20_000);
    let fetch = |len: usize| {
        let url = format!("https://one.example/{len}");
        let content = &fixture.content;
        async move { content.fetch(&url).await }
    };
    assert!(matches!(fetch(INLINE).await.unwrap().body, Body::Inline(_)));
    assert_eq!(fetch(INLINE + 1).await.unwrap().body, Body::Blob);
    assert_eq!(fetch(20_000).await.unwrap().len, 20_000);
    assert!(matches!(fetch(20_001).await, Err(ContentError::TooLarge { .. })));
    assert_eq!(fetch(0).await.unwrap().body, Body::Inline(Bytes::new()));
}
