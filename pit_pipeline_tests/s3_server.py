"""A real S3 server on this machine, behind a proxy that sees every request and can hold one.

The server is moto's (which needs nothing but pip) or versitygw (`--s3-server=path/to/versitygw`). To kill a process in
the middle of a request, or between two, a test holds the request at the proxy, before the server has it or before its
answer goes back, and then decides what becomes of it.
"""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from pit_pipeline.s3 import S3Access

_PER_CONNECTION = ("transfer-encoding", "connection", "content-length", "expect")
KEY_ID, SECRET, REGION = "test", "testtest", "us-east-1"


@dataclass
class Hold:
    """One request that is held: the first that matches, once `arrived`; it waits for `release` or `drop`.

    answered: whether it is held after the server has done it, else before; halved: it is not held, but its answer
    breaks off in the middle.
    """

    pattern: re.Pattern[str]
    answered: bool
    halved: bool = False
    arrived: threading.Event = field(default_factory=threading.Event)
    decided: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False

    def wait(self, seconds: float = 30) -> None:
        """Until the request is there."""
        assert self.arrived.wait(seconds), f"no request matched {self.pattern.pattern}"

    def release(self) -> None:
        """Let it go on."""
        self.decided.set()

    def drop(self) -> None:
        """Have it come to nothing: as if the connection had broken."""
        self.dropped = True
        self.decided.set()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients are killed here
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class S3Server:
    """The server and the proxy before it; it knows the requests, and the ids of the keys that signed them."""

    def __init__(self, command: list[str], port: int) -> None:
        self.requests: list[str] = []
        self.signers: set[str] = set()
        self._holds: list[Hold] = []
        self._port = port
        environment = {**os.environ, "ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._proxy = _Proxy(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self._wait()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._proxy.server_port}"

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, REGION, "environment")

    def zones(self) -> dict[str, str]:
        """The settings of a deployment with three empty buckets for zones."""
        zones = {f"{zone}_uri": self.new_bucket() for zone in ("landing", "processing", "consumer")}
        return {**zones, "s3_endpoint": self.endpoint, "aws_region": REGION, "aws_credentials": "environment"}

    def new_bucket(self) -> str:
        """The URI of an empty bucket."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.access.client().create_bucket(Bucket=name)
        return f"s3a://{name}"

    def keys(self, uri: str) -> list[str]:
        """Every key of a bucket, with a prefix or without, and `upload of KEY` for every upload under way."""
        client, name = self.access.client(), uri.removeprefix("s3a://")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        uploads = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", [])) + sorted(
            f"upload of {upload['Key']}" for upload in uploads
        )

    @contextmanager
    def hold(self, pattern: str, *, answered: bool = False, halved: bool = False) -> Iterator[Hold]:
        """Hold the first request from now on whose `METHOD /path?query` matches."""
        held = Hold(re.compile(pattern), answered or halved, halved)
        self._holds.append(held)
        try:
            yield held
        finally:
            held.release()
            if held in self._holds:
                self._holds.remove(held)

    def close(self) -> None:
        self._proxy.shutdown()
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("the S3 server did not start")

    def _held(self, request: str, *, answered: bool) -> Hold | None:
        """Wait if the request is to be held; what holds it."""
        for held in list(self._holds):
            if held.answered == answered and held.pattern.search(request):
                self._holds.remove(held)
                held.arrived.set()
                if not held.halved:
                    held.decided.wait(60)
                return held
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                request = f"{self.command} {unquote(self.path)}"
                server.requests.append(request)
                signature = self.headers.get("Authorization", "")
                server.signers.add(signature.partition("Credential=")[2].partition("/")[0])
                body = self._body()
                held = server._held(request, answered=False)
                if held and held.dropped:
                    self.close_connection = True
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _PER_CONNECTION}
                upstream = http.client.HTTPConnection("127.0.0.1", server._port, timeout=120)
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
                held = server._held(request, answered=True)
                if held and held.dropped:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in _PER_CONNECTION:
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if held and held.halved:
                    content, self.close_connection = content[: len(content) // 2], True
                self.wfile.write(content)
                upstream.close()

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return body

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def start(versitygw: str | None, folder: Path) -> S3Server:
    """moto's server, or the versitygw of this path with its data in a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if versitygw is None:
        return S3Server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port)
    data = folder / "buckets"
    data.mkdir()
    return S3Server([versitygw, "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(data)], port)
