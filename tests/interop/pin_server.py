"""A pin service and gateway in memory, with the wire format of the network's own.

Usage: pin_server.py PORT

POST /file/create takes one multipart part named `file` and returns {"link": ...}; GET /ipfs/<cid>
returns the bytes. Content of one chunk gets the CIDv0 that IPFS would give it; more is refused.
Prints one line when it listens; port 0 takes any free one, and the line says which.
"""

import hashlib
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 256 * 1024
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def cid_v0(data: bytes) -> str:
    """The CIDv0 of a file of one chunk: base58 of the hash of its dag-pb node."""
    size = varint(len(data))
    body = b"\x12" + size + data if data else b""
    unixfs = b"\x08\x02" + body + b"\x18" + size
    node = b"\x0a" + varint(len(unixfs)) + unixfs
    number = int.from_bytes(b"\x12\x20" + hashlib.sha256(node).digest(), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return text


def file_part(body: bytes, content_type: str) -> bytes | None:
    """The bytes of the only part, if it is named `file`."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if not boundary:
        return None
    parts = body.split(b"--" + boundary.group(1).encode())[1:-1]
    if len(parts) != 1:
        return None
    head, _, data = parts[0].partition(b"\r\n\r\n")
    return data[:-2] if b'name="file"' in head and data.endswith(b"\r\n") else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pinned: dict[str, bytes] = {}

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        data = file_part(body, self.headers.get("Content-Type", ""))
        if self.path != "/file/create" or data is None or len(data) > CHUNK:
            return self.reply(400, b'{"message":"one part named file, up to 256 KiB"}')
        cid = cid_v0(data)
        self.pinned[cid] = data
        port = self.server.server_address[1]
        self.reply(201, f'{{"link":"http://127.0.0.1:{port}/ipfs/{cid}"}}'.encode())

    def do_GET(self) -> None:
        data = self.pinned.get(self.path.removeprefix("/ipfs/"))
        if data is None:
            return self.reply(404, b'{"message":"not pinned here"}')
        self.reply(200, data)

    def log_message(self, *_args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print(f"pinning at http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
