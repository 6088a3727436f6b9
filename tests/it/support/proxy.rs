//! A proxy in front of a node that tampers with what goes over the wire.
//!
//! It reads one HTTP exchange at a time, gives the request to the node, and does to request or
//! reply what the test's rule says. So the node's chain is real, and only the wire lies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The node takes the request; each reply becomes this error.
    Refusal(i32, &'static str),
    /// The node takes the request; then the connection is reset.
    Reset,
    /// The node takes the request; no reply comes until the caller gives up.
    Silence,
    /// The node takes the request; the reply is this status with a page of HTML.
    Page(u16),
    /// The node never sees the request; the reply is this status with a page of HTML.
    Refused(u16),
    /// The reply ends after so many bytes.
    CutReply(usize),
    /// The node gets so many bytes of the request, the caller nothing.
    CutRequest(usize),
    /// Each reply is there twice.
    DoubledReply,
    /// The node gets the request twice, the caller the second reply.
    DoubledRequest,
    /// The node gets the request late.
    Late(Duration),
    /// Each code that is asked for ends in one more byte.
    OtherCode,
}

/// One exchange, as a rule sees it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The first four bytes of the input of every transaction that it sends.
    pub(crate) sends: Vec<[u8; 4]>,
}

type Rule = Box<dyn FnMut(&Exchange) -> Fault + Send>;

/// A proxy that listens until it is dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    node: String,
    rule: Mutex<Rule>,
    faults: AtomicU64,
}

impl Proxy {
    /// A proxy in front of a node, with the rule that says what happens to each exchange.
    pub(crate) fn new(node: &str, rule: impl FnMut(&Exchange) -> Fault + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            node: super::http::split(node).0.to_owned(),
            rule: Mutex::new(Box::new(rule)),
            faults: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        drop(runtime.spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                drop(tokio::spawn(serve(caller, Arc::clone(&serving))));
            }
        }));
        Self { url, shared, _runtime: runtime }
    }

    /// How many exchanges were tampered with.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

/// Serves one connection; any error ends it, as on a real wire.
async fn serve(mut caller: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    while let Some(request) = read_message(&mut caller).await? {
        let exchange = Exchange { sends: sends(&request.body) };
        let fault = (shared.rule.lock().unwrap())(&exchange);
        if fault != Fault::None {
            shared.faults.fetch_add(1, Ordering::Relaxed);
        }
        if !tamper(&mut caller, &request, fault, &shared.node).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Carries one exchange out; `false` if the connection is over.
async fn tamper(
    caller: &mut TcpStream,
    request: &Message,
    fault: Fault,
    node: &str,
) -> std::io::Result<bool> {
    let mut ahead = TcpStream::connect(node).await?;
    match fault {
        Fault::Refused(status) => {
            caller.write_all(&page(status)).await?;
            return Ok(true);
        }
        Fault::CutRequest(bytes) => {
            let whole = request.bytes();
            // Never the whole: the node must not be able to answer.
            ahead.write_all(&whole[..bytes.min(whole.len() - 1)]).await?;
            ahead.flush().await?;
            caller.set_zero_linger()?;
            return Ok(false);
        }
        Fault::DoubledRequest => drop(ask(&mut ahead, request).await?),
        Fault::Late(span) => tokio::time::sleep(span).await,
        Fault::None
        | Fault::Refusal(..)
        | Fault::Reset
        | Fault::Silence
        | Fault::Page(_)
        | Fault::CutReply(_)
        | Fault::OtherCode
        | Fault::DoubledReply => {}
    }
    let mut reply = ask(&mut ahead, request).await?;
    if fault == Fault::OtherCode {
        reply = other_code(&request.body, &reply);
    }
    pass_on(caller, &reply, fault).await
}

/// Gives the caller what the fault leaves of a reply; `false` if the connection is over.
async fn pass_on(caller: &mut TcpStream, reply: &Message, fault: Fault) -> std::io::Result<bool> {
    let bytes = match fault {
        Fault::Refusal(code, text) => with_body(&refusals(&reply.body, code, text)),
        Fault::DoubledReply => with_body(&doubled(&reply.body)),
        Fault::Page(status) => page(status),
        Fault::CutReply(most) => {
            let whole = reply.bytes();
            caller.write_all(&whole[..most.min(whole.len() - 1)]).await?;
            return Ok(false);
        }
        Fault::Reset => {
            caller.set_zero_linger()?;
            return Ok(false);
        }
        Fault::Silence => {
            // The caller gives up by closing: until then nothing is said.
            drop(caller.read(&mut [0; 1]).await);
            return Ok(false);
        }
        Fault::None
        | Fault::DoubledRequest
        | Fault::Late(_)
        | Fault::OtherCode
        | Fault::Refused(_)
        | Fault::CutRequest(_) => reply.bytes(),
    };
    caller.write_all(&bytes).await?;
    Ok(true)
}

async fn ask(node: &mut TcpStream, request: &Message) -> std::io::Result<Message> {
    node.write_all(&request.bytes()).await?;
    let reply = read_message(node).await?;
    reply.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// A request or a reply.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.body].concat()
    }
}

/// Reads one message of a known length; `None` at the end of the stream.
async fn read_message(stream: &mut TcpStream) -> std::io::Result<Option<Message>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.extend(byte);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Message { head, body }))
}

/// The selectors of the transactions that a JSON-RPC body sends.
fn sends(body: &[u8]) -> Vec<[u8; 4]> {
    let selector = |call: &Value| {
        if call["method"] != "eth_sendRawTransaction" {
            return None;
        }
        let raw: Bytes = call["params"][0].as_str()?.parse().ok()?;
        let tx = TxEnvelope::decode_2718_exact(&raw).ok()?;
        tx.input().first_chunk::<4>().copied()
    };
    calls(body).iter().filter_map(selector).collect()
}

/// The parts of a batch; of one call or reply, that one.
fn calls(body: &[u8]) -> Vec<Value> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value.as_array().cloned().unwrap_or_else(|| vec![value])
}

/// The replies with each made an error; alone if the caller asked alone.
fn refusals(body: &[u8], code: i32, text: &str) -> Value {
    let refuse = |reply: &Value| {
        let error = json!({"code": code, "message": text});
        json!({"jsonrpc": "2.0", "id": reply["id"], "error": error})
    };
    let refused: Vec<Value> = calls(body).iter().map(refuse).collect();
    if body.starts_with(b"[") { json!(refused) } else { json!(refused[0]) }
}

/// A reply in which every code has one more byte at its end.
fn other_code(request: &[u8], reply: &Message) -> Message {
    let asked: Vec<Value> = calls(request)
        .into_iter()
        .filter(|call| call["method"] == "eth_getCode")
        .map(|call| call["id"].clone())
        .collect();
    if asked.is_empty() {
        return Message { head: reply.head.clone(), body: reply.body.clone() };
    }
    let mut replies = calls(&reply.body);
    for one in replies.iter_mut().filter(|one| asked.contains(&one["id"])) {
        one["result"] = json!(format!("{}00", one["result"].as_str().unwrap()));
    }
    let body = if reply.body.starts_with(b"[") { json!(replies) } else { json!(replies[0]) };
    Message { head: with_body(&body), body: Vec::new() }
}

fn doubled(body: &[u8]) -> Value {
    let replies = calls(body);
    replies.iter().chain(&replies).cloned().collect()
}

fn with_body(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn page(status: u16) -> Vec<u8> {
    let body = "<html><body><h1>Bad Gateway</h1></body></html>";
    let head = format!("HTTP/1.1 {status} Sorry\r\nContent-Type: text/html\r\nContent-Length:");
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}
