"""A server on this machine that keeps the notices that it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Inbox(ThreadingHTTPServer):
    """A server that keeps what it is sent; its first answers are `refusals` times an error."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.refusals = refusals
        self.attempts: list[str] = []
        self.received: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self) -> str:
        """Its address, with a secret from the environment as a part of the path."""
        return f"json://127.0.0.1:{self.server_port}/${{env:NOTICE_TOKEN}}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.received]


class Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Inbox

    def do_POST(self) -> None:
        self.server.gate.wait(60)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.attempts.append(self.path)
        is_refused = len(self.server.attempts) <= self.server.refusals
        if not is_refused:
            self.server.received.append(body)
        self.send_response(500 if is_refused else 200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def inbox(refusals: int = 0) -> Iterator[Inbox]:
    with Inbox(refusals) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.gate.set()
        server.shutdown()


def wait_until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
