"""Whole runs in processes of their own against a real S3 server: killed while Spark writes, and by pod credentials."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pit_pipeline.deployment import parquet_tables
from pit_pipeline.settings import Settings
from pit_pipeline.tables import TABLES
from pit_pipeline_tests import s3_server as servers
from pit_pipeline_tests.conftest import HEADER, JARS, many_days, visit
from pit_pipeline_tests.s3_server import S3Server

pytestmark = pytest.mark.load

DAYS = many_days(2)
RUN = """
import sys
from datetime import date
from pit_pipeline import local
from pit_pipeline.settings import Settings
sys.exit(local.materialize(Settings.from_environment(), [date.fromisoformat(day) for day in sys.argv[1:]]))
"""


class Shop:
    """A deployment with its zones in buckets, two days landed."""

    def __init__(self, workspace: Path, server: S3Server, zones: Mapping[str, str]) -> None:
        self.server = server
        self.settings = Settings.model_validate(
            {
                **zones,
                "workspace": workspace,
                "first_day": DAYS[0],
                "spark_conf": {"spark.driver.extraClassPath": f"{JARS}/*"},
            }
        )
        for day in DAYS:
            body = HEADER + "".join(visit(f"p{i}", f"pit{i % 5}") for i in range(100))
            place = {
                "Bucket": self.settings.landing_uri.removeprefix("s3a://"),
                "Key": f"visits/visit_date={day}/a.csv",
            }
            server.access.client().put_object(**place, Body=body.encode())

    def start(self, **variables: str) -> "subprocess.Popen[str]":
        """A run of both days, the leader of a group of its own, its JVM in it."""
        environment = {**os.environ, **self.settings.environment(), **variables}
        for name in [name for name, value in environment.items() if not value]:
            del environment[name]
        command = [sys.executable, "-c", RUN, *DAYS]
        return subprocess.Popen(command, env=environment, start_new_session=True, text=True, stderr=subprocess.PIPE)

    def keys(self) -> list[str]:
        return self.server.keys(self.settings.processing_uri) + self.server.keys(self.settings.consumer_uri)

    def assert_made(self) -> None:
        """Every table has its two days, each in one object, and nothing else is stored."""
        assert sorted(self.keys()) == sorted(
            f"{table.name}/visit_date={day}/part-00000.parquet" for table in TABLES for day in DAYS
        )
        tables = parquet_tables(self.settings)
        for table in TABLES:
            rows = {str(day): files.rows for day, files in tables.zone(table).published(table).items()}
            expected = {"visits": 100, "rejected_visits": 0, "daily_metrics": 1, "recommendations": 100}[table.name]
            assert rows == dict.fromkeys(DAYS, expected)
        assert date.fromisoformat(DAYS[0]) == self.settings.first_day


@pytest.fixture
def shop(tmp_path: Path, s3_server: S3Server, s3_zones: dict[str, str]) -> Shop:
    return Shop(tmp_path, s3_server, s3_zones)


def test_a_run_killed_while_spark_commits_what_it_wrote_leaves_nothing_once_it_has_been_run_again(shop: Shop) -> None:
    # The magic committer's uploads are completed by the job's commit; then they are visible in the stage.
    with shop.server.hold(r"POST .*/_staging/visits/.*\?uploadId=") as request:
        run = shop.start()
        request.wait(120)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        request.drop()
    left = shop.keys()
    assert any(key.startswith("upload of _staging/visits/") for key in left)
    assert any(key.endswith("/_lease") for key in left)
    assert not any(key.startswith("visits/") for key in left)
    again = shop.start()
    told = again.communicate()[1]
    assert again.returncode == 0, told
    shop.assert_made()


@pytest.fixture
def pod_credentials(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The agent that EKS Pod Identity runs on every node: it answers whoever shows the pod's token."""

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != "the pod's token":
                self.send_error(401)
                return
            answer = {
                "AccessKeyId": "the-pods-key",
                "SecretAccessKey": "secret",
                "Token": "session",
                "Expiration": "2099-01-01T00:00:00Z",
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    token = tmp_path / "token"
    token.write_text("the pod's token")
    with HTTPServer(("127.0.0.1", 0), Agent) as agent:
        threading.Thread(target=agent.serve_forever, daemon=True).start()
        yield {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{agent.server_port}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
        }
        agent.shutdown()


@pytest.mark.usefixtures("s3_zones")
def test_a_pods_identity_is_all_that_spark_boto3_and_pyarrow_need(
    tmp_path: Path, pod_credentials: dict[str, str]
) -> None:
    # moto's server, which takes any session; others would have to have issued it.
    server = servers.start(None, tmp_path)
    shop = Shop(tmp_path, server, server.zones())
    server.signers.clear()
    run = shop.start(**pod_credentials, PIT_AWS_CREDENTIALS="pod_identity")
    told = run.communicate()[1]
    assert run.returncode == 0, told
    assert server.signers == {"the-pods-key"}
    shop.assert_made()
    server.close()
