"""A hub on this machine: the few addresses of the Hugging Face hub that its client asks for, and ways to misbehave.

    with HubServer() as hub:
        hub.add("owner/name", folder)
        hub.misbehave("GET", "model.safetensors", times=1, cut=1_000_000)
        ...                        # a process with HF_ENDPOINT=hub.url
        hub.seen("owner/name")     # what was asked for, and how many bytes went out

As on the real hub, `*.safetensors` are large files: known by their sha256, and a request for one is redirected to
storage with another host name (localhost instead of 127.0.0.1), where the token must not arrive. Small files are known
by git's sha1. Nothing is said of Xet storage, so the client speaks plain HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" + "0" * 34
RESET = struct.pack("ii", 1, 0)  # linger for 0 seconds: closing sends a reset


@dataclass
class Seen:
    """One request. `start` is where its Range begins, `sent` the bytes of the body that went out."""

    method: str
    path: str
    start: int
    authorized: bool
    status: int = 0
    sent: int = 0


@dataclass
class Fault:
    """What goes wrong for a request whose method and end of the path match, `times` times (None: always)."""

    method: str
    end: str
    times: int | None = None
    status: int = 0  # answer this ...
    code: str = ""  # ... with this X-Error-Code
    cut: int | None = None  # end the connection after so many bytes of the body
    reset: bool = False  # ... with a reset rather than an orderly end
    stall: float = 0  # seconds of silence: before the answer, or after `cut` bytes of the body
    damage: bool = False  # flip the last byte of the body
    longer: int = 0  # that many bytes more than announced


class HubServer:
    """Serves the models that `add` names while the context is open. `url` is for HF_ENDPOINT."""

    def __init__(self):
        self.repos: dict[str, dict[str, bytes]] = {}
        self.sizes: dict[tuple[str, str], int] = {}
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.lock, self.closing = threading.Lock(), threading.Event()

    def __enter__(self) -> HubServer:
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, files: Path | dict[str, bytes], sizes: dict[str, int] | None = None) -> None:
        """Serve a folder, or named bytes, as the model `name`. `sizes` are announced instead of the real ones."""
        if not isinstance(files, dict):
            files = {path.name: path.read_bytes() for path in files.iterdir()}
        self.repos[name] = files
        self.sizes |= {(name, file): size for file, size in (sizes or {}).items()}

    def misbehave(self, method: str, end: str, **what) -> None:
        """Answer requests with this method whose path ends so as `what` says, see `Fault`."""
        self.faults.append(Fault(method, end, **what))

    def behave(self) -> None:
        """No faults any more."""
        self.faults.clear()

    def seen(self, end: str, method: str = "GET") -> list[Seen]:
        """The requests with this method whose path holds `end`, in their order."""
        return [request for request in self.requests if request.method == method and end in request.path]

    def fault(self, method: str, path: str) -> Fault:
        """What is to go wrong now."""
        with self.lock:
            for fault in self.faults:
                if fault.method == method and path.endswith(fault.end) and fault.times != 0:
                    if fault.times:
                        fault.times -= 1
                    return fault
        return Fault(method, path)


def is_large(file: str) -> bool:
    """Whether the hub keeps a file in its storage for large ones."""
    return file.endswith(".safetensors")


def key(file: str, data: bytes) -> str:
    """The hash by which the hub knows a file."""
    if is_large(file):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_GET(self):
        path = self.path.partition("?")[0]
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        self.request_seen = Seen(self.command, path, start, "Authorization" in self.headers)
        if path != "/api/agent-harnesses":  # the client's own business, once a day
            self.hub.requests.append(self.request_seen)
        fault = self.hub.fault(self.command, path)
        if fault.stall and fault.cut is None:
            self.hub.closing.wait(fault.stall)
        if fault.status:
            headers = {"X-Error-Code": fault.code} if fault.code else {}
            return self.reply(fault.status, json.dumps({"error": "so it was asked"}).encode(), headers)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            return self.reply_listing(found[1])
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.reply_file(found[1], found[3], start, fault)
        if found := re.fullmatch(r"/storage/([^/]+/[^/]+)/(.+)", path):
            return self.reply_bytes(self.hub.repos[found[1]][found[2]], start, {}, fault)
        return self.reply(404, b"{}", {})

    do_HEAD = do_GET

    def reply_listing(self, name: str):
        if name not in self.hub.repos:
            return self.reply(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        siblings = []
        for file, data in self.hub.repos[name].items():
            size = self.hub.sizes.get((name, file), len(data))
            row = {"rfilename": file, "size": size, "blobId": key("", data)}
            if is_large(file):
                row["lfs"] = {"sha256": key(file, data), "size": size, "pointerSize": 130}
            siblings.append(row)
        listing = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
        return self.reply(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})

    def reply_file(self, name: str, file: str, start: int, fault: Fault):
        data = self.hub.repos.get(name, {}).get(file)
        if data is None:
            return self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes", "ETag": f'"{key(file, data)}"'}
        if not is_large(file):
            return self.reply_bytes(data, start, headers, fault)
        headers |= {"X-Linked-Etag": f'"{key(file, data)}"', "X-Linked-Size": str(len(data))}
        headers["Location"] = f"http://localhost:{self.server.server_port}/storage/{name}/{file}"
        return self.reply(302, b"", headers)

    def reply_bytes(self, data: bytes, start: int, headers: dict, fault: Fault):
        if fault.damage:
            data = data[:-1] + bytes([data[-1] ^ 1])
        data += b"\0" * fault.longer
        if start:
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return self.reply(206 if start else 200, data[start:], headers, fault)

    def reply(self, status: int, body: bytes, headers: dict, fault: Fault | None = None):
        self.request_seen.status = status
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = fault.cut if fault else None
        try:
            self.wfile.write(body[:cut])
            self.request_seen.sent = len(body[:cut])
            if cut is not None:
                self.hub.closing.wait(fault.stall)
                if fault.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self.connection.close()
                self.close_connection = True
        except OSError:  # the client has gone
            self.close_connection = True

    def log_message(self, *_):
        pass
