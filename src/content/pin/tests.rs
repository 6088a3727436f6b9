use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Multipart, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::content::{Blobs, Content, Http, Limits};
use crate::units::Network;
use crate::units::time::Rate;

/// A pin service and gateway with a script: what the n-th upload is answered with.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Reply>>>,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    uploads: Arc<AtomicU32>,
    reads: Arc<AtomicU32>,
    /// What the gateway changes in a file.
    garble: Option<fn(Vec<u8>) -> Vec<u8>>,
}

#[derive(Clone)]
enum Reply {
    Status(u16),
    Body(&'static str),
    Never,
}

impl Server {
    fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Mutex::new(replies.into_iter().collect()));
        Self { script, ..Self::default() }
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/file/create", post(create))
            .route("/ipfs/{cid}", get(read))
            .with_state(self.clone())
    }

    fn uploads(&self) -> u32 {
        self.uploads.load(Ordering::SeqCst)
    }
}

async fn create(State(server): State<Server>, mut form: Multipart) -> Response {
    server.uploads.fetch_add(1, Ordering::SeqCst);
    let part = form.next_field().await.unwrap().unwrap();
    assert_eq!(part.name(), Some("file"));
    assert_eq!(part.file_name(), Some("taskConfig.json"));
    assert_eq!(part.content_type(), Some("application/json"));
    let bytes = part.bytes().await.unwrap();
    assert!(form.next_field().await.unwrap().is_none(), "exactly one part");
    let reply = server.script.lock().unwrap().pop_front();
    match reply {
        Some(Reply::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Reply::Body(body)) => body.into_response(),
        Some(Reply::Never) => std::future::pending().await,
        None => {
            let cid = Cid::for_file(&bytes).to_string();
            let link = format!("https://one.example/ipfs/{cid}");
            server.files.lock().unwrap().insert(cid, bytes.to_vec());
            (StatusCode::CREATED, axum::Json(serde_json::json!({"link": link, "id": 7})))
                .into_response()
        }
    }
}

async fn read(State(server): State<Server>, Path(cid): Path<String>) -> Response {
    server.reads.fetch_add(1, Ordering::SeqCst);
    match server.files.lock().unwrap().get(&cid).cloned() {
        Some(bytes) => server.garble.map_or(bytes.clone(), |garble| garble(bytes)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn content(server: &Server, change: impl FnOnce(&mut Limits)) -> (NetworkContent, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let network = Network {
        gateways: vec!["https://one.example/ipfs/".into()],
        pin_url: "https://pins.example/file/create".into(),
        ..Network::testnet()
    };
    let mut limits = Limits::for_network(&network);
    change(&mut limits);
    let blobs = Blobs::open(folder.path()).unwrap();
    let http = Http::Local(server.router());
    (NetworkContent::new(&network, http, limits, blobs).unwrap(), folder)
}

/// Pins and collects the notices.
async fn pin(content: &NetworkContent, bytes: &str) -> (Result<Pinned, ContentError>, Vec<String>) {
    let notices = Mutex::new(Vec::new());
    let notice = |retry: PinRetry<'_>| {
        let text = format!("try {} of {} {:?}: {}", retry.tried, retry.of, retry.wait, retry.error);
        notices.lock().unwrap().push(text);
    };
    let pinned = content.pin(Bytes::copy_from_slice(bytes.as_bytes()), &notice).await;
    (pinned, notices.into_inner().unwrap())
}

#[test]
fn the_upload_is_one_part_in_the_exact_form() {
    let (media, body) = multipart(sha256(b"{}"), b"{}");
    let boundary = media.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!(boundary.len() <= 70, "RFC 2046");
    assert_eq!(
        std::str::from_utf8(&body).unwrap(),
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"taskConfig.json\"\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
             --{boundary}--\r\n"
        )
    );
}

#[tokio::test]
async fn the_link_is_used_verbatim_and_the_file_read_back_once() {
    let server = Server::default();
    let (content, _folder) = content(&server, |_| ());
    let (pinned, notices) = pin(&content, "{\"a\":1}").await;
    let pinned = pinned.unwrap();
    assert_eq!(pinned.cid, Cid::for_file(b"{\"a\":1}"));
    assert_eq!(pinned.url, format!("https://one.example/ipfs/{}", pinned.cid));
    assert_eq!(notices, Vec::<String>::new());
    assert_eq!(server.reads.load(Ordering::SeqCst), 1);
    let (again, _) = pin(&content, "{\"a\":1}").await;
    assert_eq!(again.unwrap(), pinned);
    assert_eq!(server.uploads(), 1, "the link of known bytes is remembered");
}

#[tokio::test]
async fn an_id_that_we_computed_ourselves_needs_no_read_back_where_the_policy_says_so() {
    let server = Server::default();
    let (content, _folder) = content(&server, |limits| {
        limits.read_back = ReadBack::Unproven;
        limits.pin_tries = NonZeroU32::MIN;
    });
    assert!(pin(&content, "{}").await.0.is_ok());
    assert_eq!(server.reads.load(Ordering::SeqCst), 0);
    let link = "{\"link\":\"https://one.example/files/7\"}";
    server.script.lock().unwrap().push_back(Reply::Body(link));
    let (unproven, _) = pin(&content, "{\"b\":1}").await;
    let Err(ContentError::Status { service, status, .. }) = unproven else {
        panic!("{unproven:?}")
    };
    assert_eq!((service, status), (Service::Gateway, 404), "a link without an id is read");
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_is_asked_three_times_with_growing_waits() {
    let server = Server::scripted([Reply::Status(503), Reply::Status(500)]);
    let (content, _folder) = content(&server, |_| ());
    let start = Instant::now();
    let (pinned, notices) = pin(&content, "{}").await;
    assert!(pinned.is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(3), "1 s and 2 s");
    assert_eq!(
        notices,
        [
            "try 1 of 3 1s: the pin service pins.example said 503",
            "try 2 of 3 2s: the pin service pins.example said 500"
        ]
    );
    let server = Server::scripted(vec![Reply::Status(502); 9]);
    let (content, _folder) = super::tests::content(&server, |_| ());
    let (pinned, notices) = pin(&content, "{}").await;
    assert!(matches!(pinned, Err(ContentError::Status { status: 502, .. })), "{pinned:?}");
    assert_eq!((server.uploads(), notices.len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn an_upload_without_a_reply_ends_in_bounded_time() {
    let server = Server::scripted(vec![Reply::Never; 9]);
    let (content, _folder) = content(&server, |_| ());
    let start = Instant::now();
    let (pinned, notices) = pin(&content, "{}").await;
    let Err(ContentError::TooSlow { service, phase, .. }) = pinned else { panic!("{pinned:?}") };
    assert_eq!((service, phase), (Service::Pin, Phase::Total));
    assert_eq!((start.elapsed(), notices.len()), (Duration::from_secs(93), 2));
}

#[tokio::test]
async fn a_refusal_or_a_reply_without_a_link_is_not_asked_again() {
    for reply in [Reply::Status(400), Reply::Status(401), Reply::Status(413), Reply::Status(302)] {
        let server = Server::scripted([reply]);
        let (content, _folder) = content(&server, |_| ());
        let (pinned, notices) = pin(&content, "{}").await;
        assert!(matches!(pinned, Err(ContentError::Status { .. })), "{pinned:?}");
        assert_eq!((server.uploads(), notices.len()), (1, 0));
    }
    for body in [
        "",
        "ok",
        "{}",
        "[]",
        "{\"link\":null}",
        "{\"link\":7}",
        "{\"link\":\"\"}",
        "{\"link\":\"QmX\"}",
        "{\"link\":\"file:///etc/passwd\"}",
        "{\"link\":\"https://one.example/a b\"}",
        "{\"link\":\"https://one.example/\\u001b[2J\"}",
    ] {
        let server = Server::scripted([Reply::Body(body)]);
        let (content, _folder) = content(&server, |_| ());
        let (pinned, _) = pin(&content, "{}").await;
        assert!(matches!(pinned, Err(ContentError::NoLink { .. })), "{body}: {pinned:?}");
        assert_eq!(server.uploads(), 1);
    }
}

#[tokio::test]
async fn other_bytes_at_the_read_back_are_an_error() {
    let garblings: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| b"[]".to_vec(),
        |_| Vec::new(),
        |mut bytes| {
            bytes.push(b'\n');
            bytes
        },
        |bytes| bytes.repeat(100_000),
    ];
    for garble in garblings {
        let server = Server { garble: Some(garble), ..Server::default() };
        let (content, _folder) = content(&server, |_| ());
        let (pinned, _) = pin(&content, "{}").await;
        assert!(matches!(pinned, Err(ContentError::WrongBytes { .. })), "{pinned:?}");
    }
}

#[tokio::test]
async fn a_link_that_the_guard_refuses_is_an_error() {
    let link = "{\"link\":\"https://169.254.169.254/ipfs/x\"}";
    let server = Server::scripted([Reply::Body(link)]);
    let (content, _folder) = content(&server, |_| ());
    let (pinned, _) = pin(&content, "{}").await;
    assert!(matches!(pinned, Err(ContentError::Refused { .. })), "{pinned:?}");
}

#[tokio::test(start_paused = true)]
async fn uploads_keep_the_quota() {
    let server = Server::default();
    let (content, _folder) = content(&server, |limits| limits.pin_rate = Rate::parse("5/s").ok());
    let start = Instant::now();
    let pins = (0..20).map(|n| {
        let content = &content;
        async move { pin(content, &format!("{{\"n\":{n}}}")).await.0.is_ok() }
    });
    let done = futures::future::join_all(pins).await;
    assert!(done.into_iter().all(|ok| ok));
    assert!(start.elapsed() >= Duration::from_millis(2990), "{:?}", start.elapsed());
}

#[test]
fn the_memory_of_links_forgets_the_oldest() {
    let cache = PinCache::default();
    let hash = |n: u32| sha256(&n.to_le_bytes());
    let pinned = Pinned { cid: Cid::for_file(b""), url: String::new() };
    let count = u32::try_from(REMEMBERED).unwrap() + 1;
    (0..count).for_each(|n| cache.put(hash(n), pinned.clone()));
    cache.put(hash(count - 1), pinned);
    assert!(cache.get(hash(0)).is_none());
    assert!((1..count).all(|n| cache.get(hash(n)).is_some()));
}
