//! HTTP/1.1 in a few lines: the oracle asks with it, so that nothing of the program's own client
//! stands between a test and the chain.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than a node takes for any reply to a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Splits an `http://` URL into host with port, and path.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no http URL: {url}"));
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}

/// One exchange on a connection of its own.
fn exchange(url: &str, body: Option<(&str, &[u8])>) -> (u16, Vec<u8>) {
    let (host, path) = split(url);
    let mut stream = TcpStream::connect(host).unwrap_or_else(|e| panic!("{host}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let method = if body.is_some() { "POST" } else { "GET" };
    let (kind, body) = body.unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    read_reply(&mut BufReader::new(stream))
}

fn read_reply(reader: &mut impl BufRead) -> (u16, Vec<u8>) {
    let (mut status, mut length) = (0, None);
    for line in reader.by_ref().lines() {
        let line = line.unwrap().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("content-length:") {
            length = Some(rest.trim().parse::<u64>().unwrap());
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => reader.take(length).read_to_end(&mut body).unwrap(),
        None => reader.read_to_end(&mut body).unwrap(),
    };
    (status, body)
}

/// What is at a URL.
pub(crate) fn get(url: &str) -> Vec<u8> {
    let (status, body) = exchange(url, None);
    assert_eq!(status, 200, "{url}: {}", String::from_utf8_lossy(&body));
    body
}

/// Posts JSON and reads JSON.
pub(crate) fn post(url: &str, body: &Value) -> Value {
    let (status, reply) = exchange(url, Some(("application/json", body.to_string().as_bytes())));
    serde_json::from_slice(&reply).unwrap_or_else(|error| {
        panic!("{url}: {status}, {error}: {}", String::from_utf8_lossy(&reply))
    })
}

/// Uploads a file to a pin service; the URL that it gives.
pub(crate) fn pin(url: &str, file: &[u8]) -> String {
    let head = "--part\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".as_bytes();
    let body = [head, file, b"\r\n--part--\r\n"].concat();
    let (status, reply) = exchange(url, Some(("multipart/form-data; boundary=part", &body)));
    assert_eq!(status, 201, "{url}: {}", String::from_utf8_lossy(&reply));
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    reply["link"].as_str().unwrap().to_owned()
}
