"""The run queue as Dagster's daemon keeps it: backfills and backlogs do not hold up the day that is due."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from pit_pipeline import local
from pit_pipeline.automation import Cursor, DayState, Look, run_requests
from pit_pipeline.docs import ROOT

# Where a queued run's code is; nobody goes there.
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="code", port=4000, location_name="pit_pipeline"), "pits"),
    "__ASSET_JOB",
)
DAYS = [date(2024, 1, 1) + timedelta(days=i) for i in range(31)]


class Queue:
    """Runs that are queued, begun by the daemon's own rule, and end when the test says so."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)

    def add(self, tags: Mapping[str, str]) -> str:
        queued = dg.DagsterRunStatus.QUEUED
        run = create_run_for_test(self._instance, status=queued, tags=dict(tags), remote_job_origin=ORIGIN)
        return str(run.run_id)

    def tick(self) -> None:
        # The rule alone: launching would need a code location.
        for run in self._daemon._get_runs_to_dequeue(self._instance, self._instance.get_concurrency_config(), None):
            self._report(run, dg.DagsterEventType.RUN_START)

    def running(self) -> list[dg.DagsterRun]:
        return list(self._instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])))

    def end(self, run: dg.DagsterRun) -> None:
        self._report(run, dg.DagsterEventType.RUN_SUCCESS)

    def _report(self, run: dg.DagsterRun, what: dg.DagsterEventType) -> None:
        event = dg.DagsterEvent(event_type_value=what.value, job_name=run.job_name)
        self._instance.report_dagster_event(event, run.run_id)


def requested(days: list[date]) -> list[dg.RunRequest]:
    """What the landing sensor asks for when all these days are due."""
    cursor = Cursor(days={str(day): DayState(listing="A", since=0) for day in days})
    return list(run_requests(Look(cursor, days), days_per_run=1))


@pytest.mark.parametrize("file", [Path(local.__file__).parent / "dagster.yaml", ROOT / "deploy/helm/dagster.yaml"])
def test_a_day_that_is_due_begins_when_one_run_ends_however_many_are_queued(file: Path) -> None:
    concurrency = yaml.safe_load(file.read_text())["concurrency"]
    with dg.instance_for_test(overrides={"concurrency": concurrency}) as instance:
        queue = Queue(instance)
        for request in requested(DAYS)[1:]:
            queue.add(request.tags)
        for backfill in ("one", "other"):
            for _ in range(30):
                queue.add({"dagster/backfill": backfill})
        queue.tick()
        assert len(queue.running()) == concurrency["runs"]["max_concurrent_runs"]

        # The worst moment: every slot has just been taken.
        (today,) = requested(DAYS[-1:])
        due = queue.add(today.tags)
        queue.tick()
        assert due not in {run.run_id for run in queue.running()}
        queue.end(queue.running()[0])
        queue.tick()
        assert due in {run.run_id for run in queue.running()}
