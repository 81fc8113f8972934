"""Dagster's own webserver and daemon, as `make ui` starts them: the sensor, a backfill and what the UI shows."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pit_pipeline_tests.conftest import HEADER, environment, many_days, visit

PROJECT = Path(__file__).parent.parent
DAYS = many_days(3)


class Server:
    """A running UI on a workspace of its own."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def land(self, day: str, content: str) -> None:
        path = self.workspace / "landing" / "visits" / f"visit_date={day}" / "a.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def start(self) -> None:
        variables = {"PIT_WORKSPACE": str(self.workspace), "PIT_QUIET_SECONDS": "0", "PIT_AUTOMATION": "true"}
        command = [sys.executable, "-m", "pit_pipeline.cli", "ui", "--port", str(self.port)]
        log = (self.workspace / "ui.log").open("ab")
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(**variables), stdout=log, stderr=log, start_new_session=True
        )
        self.until(lambda: self.query("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")[
            "repositoriesOrError"]["nodes"], 90)  # fmt: skip

    def stop(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None

    def query(self, text: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: dict[str, Any] = json.load(answer)
        assert "errors" not in content, content["errors"]
        return dict(content["data"])

    def until(self, found: Callable[[], Any], seconds: float) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if answer := found():
                    return answer
            except (OSError, KeyError):
                pass  # it is still starting
            time.sleep(1)
        raise TimeoutError((self.workspace / "ui.log").read_text()[-3000:])

    def statuses(self, asset: str) -> tuple[set[str], set[str]]:
        """The materialized and the failed days of an asset, as the UI shows them."""
        node = self.query(
            """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
                 assetPartitionStatuses { ... on TimePartitionStatuses {
                   ranges { startKey endKey status } } } } } }""",
            key={"path": [asset]},
        )["assetNodeOrError"]
        found: dict[str, set[str]] = {"MATERIALIZED": set(), "FAILED": set(), "MATERIALIZING": set()}
        for span in node["assetPartitionStatuses"]["ranges"]:
            found[span["status"]] |= {day for day in many_days(60) if span["startKey"] <= day <= span["endKey"]}
        return found["MATERIALIZED"], found["FAILED"]

    def runs(self) -> list[dict[str, Any]]:
        answer = self.query("{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }")
        return list(answer["runsOrError"]["results"])

    def settled(self, count: int) -> bool:
        runs = self.runs()
        return len(runs) >= count and all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.mark.daemon
def test_the_daemon_runs_what_lands_and_a_backfill_from_the_ui_fails_bad_days_alone(server: Server) -> None:
    for day in DAYS:
        server.land(day, HEADER + visit())
    server.land(DAYS[1], HEADER + visit(hour=99))
    server.start()
    # The latest day in a run of its own, the two before it in another.
    server.until(lambda: server.settled(2), 180)
    good = {DAYS[0], DAYS[2]}
    for asset in ("visits_parquet", "daily_metrics", "recommendations"):
        assert server.statuses(asset)[0] == good, asset
    assert server.statuses("visits_parquet")[1] == {DAYS[1]}
    assert sorted(run["status"] for run in server.runs()) == ["FAILURE", "SUCCESS"]

    # A restart in between loses nothing and runs nothing again.
    server.stop()
    server.start()
    time.sleep(35)
    assert len(server.runs()) == 2

    # The same through the UI's own way: a backfill of all assets over a range.
    launched = server.query(
        """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
             __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
        params={
            "assetSelection": [
                {"path": [asset]} for asset in ("raw_visits", "visits_parquet", "daily_metrics", "recommendations")
            ],
            "partitionNames": DAYS,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    server.until(lambda: server.settled(3), 180)
    assert len(server.runs()) == 3
    assert server.statuses("recommendations")[0] == good
    assert server.statuses("visits_parquet") == (good, {DAYS[1]})
