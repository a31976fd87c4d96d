"""A real HTTP server on this machine in front of an engine: what a client sees of vLLM, without a GPU.

Only 127.0.0.1 listens. A request that comes while the engine sleeps waits for wake_up, as in vLLM."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import wire
from .client import Client, Direct, Http, real_url
from .sleep_engine import Engine, NoAnswer

LARGEST = 10 * 2**20  # bytes of a request


class Front:
    """Serves one engine on a free port until `close`; a context manager."""

    def __init__(self, engine: Engine, patience: float = 30.0):
        self.engine, self.patience = engine, patience
        self.awake = threading.Condition()
        front = self

        class Handler(_Handler):
            owner = front

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """Stop listening, and end the threads."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def answer(self, method: str, target: str, body: bytes) -> wire.Reply:
        """What the engine answers, after it was woken where it sleeps. NoAnswer when nobody wakes it in time."""
        path, _, query = target.partition("?")
        with self.awake:
            while True:
                try:
                    reply = self.engine.handle(method, path, query, body)
                except NoAnswer:
                    if not self.engine.up or not self.awake.wait(self.patience):
                        raise
                    continue
                self.awake.notify_all()  # it may be awake now
                return reply


class _Handler(BaseHTTPRequestHandler):
    owner: Front
    protocol_version = "HTTP/1.1"
    server_version = "lessonlib"

    def do_GET(self):  # noqa: N802  (names of the standard library)
        self._serve("GET")

    def do_POST(self):  # noqa: N802
        self._serve("POST")

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > LARGEST:
            self.close_connection = True
            return self._send(wire.detail(413, "Request Entity Too Large"))
        try:
            self._send(self.owner.answer(method, self.path, self.rfile.read(length)))
        except NoAnswer:
            self.close_connection = True  # without a word

    def _send(self, reply: wire.Reply) -> None:
        whole = isinstance(reply.body, bytes)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            if name != "content-length":
                self.send_header(name, value)
        self.send_header(*(("content-length", str(len(reply.body))) if whole else ("transfer-encoding", "chunked")))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            if whole:
                self.wfile.write(reply.body)
                return
            for part in reply.body:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args) -> None:
        """Say nothing on the learner's page."""


@contextlib.contextmanager
def connected(engine: Engine) -> Iterator[Client]:
    """A client: of the vLLM that LESSON_VLLM_URL names, else of a server started here for `engine`, else, where no socket
    may be opened (in the grader), of the engine itself."""
    if real_url():
        yield Client(Http(real_url()))
        return
    try:
        front = Front(engine)
    except OSError:
        yield Client(Direct(engine))
        return
    with front:
        yield Client(Http(front.url))
