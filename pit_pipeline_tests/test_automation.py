"""The landing sensor and the deadline schedule: nothing is lost and nothing is run twice."""

import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pit_pipeline.automation import Cursor, day_ends, look, run_requests
from pit_pipeline.sources import Listed
from pit_pipeline_tests.conftest import HEADER, Deployment, many_days, visit

ZONE = ZoneInfo("America/Sao_Paulo")
NOON = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
QUIET = timedelta(minutes=5)
DAY = date(2024, 1, 1)


class Sensor:
    """The sensor's rule with a clock and a landing zone of one's own."""

    def __init__(self) -> None:
        self.now = NOON
        self.files: dict[date, dict[str, str]] = {}
        self.changed: dict[date, datetime] = {}
        self.cursor = Cursor()
        self.keys: list[str] = []

    def land(self, day: date, content: str, name: str = "a.csv") -> None:
        self.files.setdefault(day, {})[name] = content
        self.changed[day] = self.now

    def tick(self, after: timedelta = QUIET) -> list[date]:
        self.now += after
        listing = {
            day: [Listed(name, name, 0, self.changed[day].timestamp(), version) for name, version in files.items()]
            for day, files in self.files.items()
            if files
        }
        seen = look(listing, self.cursor, now=self.now, zone=ZONE, quiet=QUIET, is_made=lambda _: False)
        # A restart: all that is left is the text of the cursor.
        self.cursor = Cursor.loaded(seen.cursor.model_dump_json())
        self.keys += [str(request.run_key) for request in run_requests(seen, 31)]
        return seen.due


def test_a_day_is_run_once_after_its_files_have_been_quiet() -> None:
    sensor = Sensor()
    sensor.land(DAY, "A")
    assert sensor.tick(QUIET / 2) == []
    sensor.land(DAY, "B", "b.csv")
    assert sensor.tick(QUIET / 2) == []
    assert sensor.tick() == [DAY]
    assert sensor.tick() == []


def test_a_day_that_has_not_ended_waits_for_its_end() -> None:
    sensor = Sensor()
    today = NOON.astimezone(ZONE).date()
    sensor.land(today, "A")
    assert sensor.tick(timedelta(hours=14)) == []
    assert sensor.tick(timedelta(hours=2)) == [today]
    assert day_ends(today, ZONE).astimezone(timezone.utc).hour == 3


@pytest.mark.parametrize("contents", [["A", "B", "A"], ["A", "B", "A", "B", "A"]])
def test_every_change_runs_the_day_again_also_back_to_what_it_was(contents: Sequence[str]) -> None:
    sensor = Sensor()
    for content in contents:
        sensor.land(DAY, content)
        assert sensor.tick(timedelta(seconds=1)) == []
        assert sensor.tick() == [DAY]
    assert len(set(sensor.keys)) == len(contents)


def test_a_file_taken_away_is_a_change_and_so_is_a_day_that_comes_back() -> None:
    sensor = Sensor()
    sensor.land(DAY, "A")
    sensor.land(DAY, "B", "b.csv")
    assert sensor.tick() == [DAY]
    del sensor.files[DAY]["b.csv"]
    assert sensor.tick() == []
    assert sensor.tick() == [DAY]
    kept = sensor.files.pop(DAY)
    assert sensor.tick() == []
    sensor.files[DAY] = kept
    assert sensor.tick() == []
    assert sensor.tick() == [DAY]
    assert len(set(sensor.keys)) == 3


def test_a_thousand_days_at_once_are_few_runs_and_the_latest_comes_first() -> None:
    sensor = Sensor()
    days = [date(2021, 1, 1) + timedelta(days=i) for i in range(1000)]
    for day in days:
        sensor.land(day, "A")
    assert sensor.tick() == days
    assert len(sensor.keys) == 1 + 33
    assert len(set(sensor.keys)) == 34
    assert sensor.keys[0].startswith(str(days[-1]))
    assert sensor.tick() == []


@pytest.fixture
def watched(tmp_path: Path, instance: dg.DagsterInstance) -> Deployment:
    return Deployment(tmp_path, instance, quiet_seconds=0)


def evaluate(deployment: Deployment, cursor: str | None) -> dg.SensorResult:
    repository = deployment.definitions.get_repository_def()
    context = dg.build_sensor_context(deployment.instance, cursor=cursor, repository_def=repository)
    result = repository.get_sensor_def("landing_sensor")(context)
    assert isinstance(result, dg.SensorResult)
    return result


def days_of(result: dg.SensorResult) -> list[str]:
    days: list[str] = []
    for request in result.run_requests or []:
        days += (
            [request.partition_key]
            if request.partition_key
            else request.run_config["ops"]["daily_tables"]["config"]["days"]
        )
    return sorted(days)


def test_the_sensor_sees_a_rewrite_with_the_same_time_and_files_of_the_same_second(watched: Deployment) -> None:
    first = watched.land("2024-01-01", HEADER + visit(pit="a"))
    result = evaluate(watched, None)
    assert days_of(result) == ["2024-01-01"]
    assert days_of(evaluate(watched, result.cursor)) == []
    stat = first.stat()
    watched.land("2024-01-01", HEADER + visit(pit="b"))
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = evaluate(watched, result.cursor)
    assert days_of(result) == ["2024-01-01"]
    for name in ("b.csv", "c.csv"):
        os.utime(watched.land("2024-01-02", HEADER, name), (1, 1))
    result = evaluate(watched, result.cursor)
    assert days_of(result) == ["2024-01-02"]
    os.utime(watched.land("2024-01-02", HEADER, "d.csv"), (1, 1))
    assert days_of(evaluate(watched, result.cursor)) == ["2024-01-02"]


def test_days_before_the_first_partition_are_left_alone(watched: Deployment) -> None:
    watched.land("2023-12-31", HEADER)
    assert days_of(evaluate(watched, None)) == []


def test_a_sensor_that_is_switched_on_late_runs_only_what_is_not_made(watched: Deployment, spark: object) -> None:
    days = many_days(3)
    for day in days:
        watched.land(day, HEADER + visit())
    assert watched.run(days[0], days[1]).success
    watched.land(days[1], HEADER + visit(pit="corrected"))
    assert days_of(evaluate(watched, None)) == days[1:]


def deadline(deployment: Deployment, at: datetime) -> object:
    repository = deployment.definitions.get_repository_def()
    context = dg.build_schedule_context(deployment.instance, scheduled_execution_time=at, repository_def=repository)
    return repository.get_schedule_def("deadline")(context)


def test_the_deadline_runs_the_day_before_unless_it_is_made_from_what_landed(
    watched: Deployment, spark: object
) -> None:
    assert isinstance(deadline(watched, datetime(2024, 1, 1, 6, tzinfo=ZONE)), dg.SkipReason)
    six = datetime(2024, 1, 2, 6, tzinfo=ZONE)
    missing = deadline(watched, six)
    assert isinstance(missing, dg.RunRequest)
    assert missing.partition_key == "2024-01-01"
    watched.land("2024-01-01", HEADER + visit())
    assert watched.run("2024-01-01").success
    assert isinstance(deadline(watched, six), dg.SkipReason)
    watched.land("2024-01-01", HEADER + visit(pit="corrected"))
    assert isinstance(deadline(watched, six), dg.RunRequest)
    # Visits alone do not make the day.
    assert watched.run("2024-01-01", assets=["raw_visits", "visits_parquet"]).success
    assert isinstance(deadline(watched, six), dg.RunRequest)
