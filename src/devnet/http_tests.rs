use super::*;
use axum::routing::any;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

const LONG: Duration = Duration::from_secs(30);

/// A container in this process: accepts `score`, refuses the rest, calls back as told.
struct Container {
    service: Service,
    callbacks: Arc<Callbacks>,
    asked: Arc<AtomicUsize>,
}

/// What the container posts back for a task; `None` is silence.
type Handler = fn(&str, Value) -> Option<Value>;

async fn container(handler: Handler) -> Container {
    let callbacks = Arc::new(Callbacks::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let (back, count) = (Arc::clone(&callbacks), Arc::clone(&asked));
    let run = move |Path((function, task)): Path<(String, String)>, body: Bytes| {
        let (back, count) = (Arc::clone(&back), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            let data: Value = serde_json::from_slice(&body).unwrap();
            if function != "score" {
                return StatusCode::NOT_FOUND;
            }
            if !data.is_object() || data.get("data").is_some() {
                return StatusCode::UNPROCESSABLE_ENTITY;
            }
            if let Some(output) = handler(&task, data) {
                back.deliver(&task, &serde_json::to_vec(&output).unwrap());
            }
            StatusCode::ACCEPTED
        }
    };
    let router = Router::new().route("/run/{function}/{task}", any(run));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = Service::new(url, Arc::clone(&callbacks)).unwrap();
    Container { service, callbacks, asked }
}

fn data() -> Map<String, Value> {
    json!({"text": "Great"}).as_object().unwrap().clone()
}

#[tokio::test]
async fn an_output_comes_back_through_the_callback() {
    let container = container(|_, data| Some(json!({"of": data["text"]}))).await;
    let output = container.service.run(Address::repeat_byte(1), "score", &data(), LONG).await;
    assert_eq!(output.unwrap(), json!({"of": "Great"}));
    assert!(container.callbacks.waiting().is_empty(), "nobody waits any more");
}

#[tokio::test]
async fn a_container_that_refuses_is_not_asked_again() {
    let container = container(|_, _| None).await;
    let error = container.service.run(Address::ZERO, "nope", &data(), LONG).await.unwrap_err();
    assert!(matches!(error, ServiceError::Refused { status: 404, .. }), "{error}");
    let whole = json!({"function_name": "score", "data": {}}).as_object().unwrap().clone();
    let error = container.service.run(Address::ZERO, "score", &whole, LONG).await.unwrap_err();
    assert!(matches!(error, ServiceError::Refused { status: 422, .. }), "{error}");
    assert_eq!(container.asked.load(Ordering::Relaxed), 2);
    assert!(container.callbacks.waiting().is_empty());
}

#[tokio::test]
async fn a_container_that_never_calls_back_is_silent_at_the_deadline() {
    let container = container(|_, _| None).await;
    let soon = Duration::from_millis(50);
    let error = container.service.run(Address::ZERO, "score", &data(), soon).await.unwrap_err();
    assert!(matches!(error, ServiceError::Silent { .. }), "{error}");
    let late = container.callbacks.deliver(&Address::ZERO.to_string(), b"{}");
    assert_eq!(late, StatusCode::NOT_FOUND, "nobody waits any more");
}

#[tokio::test]
async fn where_nobody_listens_the_task_is_given_up_at_its_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let service = Service::new(url, Arc::default()).unwrap();
    let soon = Duration::from_millis(50);
    let error = service.run(Address::ZERO, "score", &data(), soon).await.unwrap_err();
    assert!(matches!(error, ServiceError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_callback_counts_once_and_only_for_a_task_that_is_waited_for() {
    let callbacks = Callbacks::default();
    let task = Address::repeat_byte(0xab);
    let mut output = callbacks.expect(task);
    for (name, body, status) in [
        ("not an address", &b"{}"[..], StatusCode::NOT_FOUND),
        (&Address::ZERO.to_string(), b"{}", StatusCode::NOT_FOUND),
        (&task.to_string(), b"", StatusCode::UNPROCESSABLE_ENTITY),
        (&task.to_string(), b"[1]", StatusCode::UNPROCESSABLE_ENTITY),
        (&task.to_string(), b"{\"a\":", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(callbacks.deliver(name, body), status, "{name}");
        assert!(output.try_recv().is_err());
    }
    assert_eq!(callbacks.deliver(&task.to_string().to_lowercase(), b"{}"), StatusCode::OK);
    assert_eq!(output.await.unwrap(), json!({}));
    assert_eq!(callbacks.deliver(&task.to_string(), b"{}"), StatusCode::NOT_FOUND);
}
