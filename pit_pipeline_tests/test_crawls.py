"""The crawler sensor: no day is lost to Athena, few crawls are paid for, and each outcome is recorded."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest

from pit_pipeline.crawler_sensor import Event, crawler_sensor
from pit_pipeline.crawls import LONGEST_WAIT_SECONDS, QUIET_SECONDS
from pit_pipeline.glue import GlueCatalog
from pit_pipeline.settings import Settings
from pit_pipeline_tests.conftest import GLUE, many_days
from pit_pipeline_tests.fake_glue import FakeGlue

TICK = 30


class Watch:
    """The sensor on an instance and a Glue of its own, with a clock that only ticks move."""

    def __init__(self, instance: dg.DagsterInstance, **settings: object) -> None:
        self.instance = instance
        self.now = 1_700_000_000.0
        self.glue = FakeGlue(lambda: self.now)
        self.cursor: str | None = None
        self.events: list[Event] = []
        self.told = ""
        self._sensor = crawler_sensor(
            Settings.model_validate({**GLUE, **settings}),
            connect=lambda settings: GlueCatalog(settings, self.glue),
            clock=lambda: self.now,
        )

    def make(self, asset: str, *days: str) -> None:
        for day in days or ["2024-01-01"]:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day))

    def tick(self, after: float = TICK, *, dies_after: str = "") -> None:
        """A tick as the daemon makes it: events, then the cursor, unless it dies after `effects` or `events`."""
        self.now += after
        result = self._sensor(dg.build_sensor_context(self.instance, cursor=self.cursor))
        assert isinstance(result, dg.SensorResult)
        self.told = str(result.skip_reason)
        if dies_after == "effects":
            return
        for event in result.asset_events:
            assert isinstance(event, dg.AssetMaterialization | dg.AssetCheckEvaluation)
            self.instance.report_runless_asset_event(event)
            self.events.append(event)
        if not dies_after:
            self.cursor = result.cursor

    def until_started(self, table: str, count: int = 1, within: float = 7200) -> float:
        """Tick until so many crawls of a table have been started; how many seconds that took."""
        began = self.now
        while self.glue.started(table) < count:
            assert self.now - began < within, f"{table} is not crawled: {self.told}"
            self.tick()
        return self.now - began

    def crawled(self, table: str) -> list[tuple[bool, str]]:
        return self._checks(table, "crawled")

    def agrees(self, table: str) -> list[tuple[bool, str]]:
        return self._checks(table, "agrees_with_registry")

    def materialized(self, table: str) -> Sequence[dg.AssetMaterialization]:
        records = self.instance.fetch_materializations(dg.AssetKey(["athena", table]), limit=100).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def _checks(self, table: str, check: str) -> list[tuple[bool, str]]:
        key = dg.AssetCheckKey(dg.AssetKey(["athena", table]), check)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        found = [record.evaluation for record in history]
        return [(one.passed, str(one.description)) for one in reversed(found) if one]


@pytest.fixture
def watch(instance: dg.DagsterInstance) -> Watch:
    return Watch(instance)


def test_new_days_have_their_tables_crawled_and_no_other(watch: Watch) -> None:
    watch.make("visits_parquet")
    watch.until_started("visits")
    assert {name: watch.glue.started(name) for name in watch.glue.tables} == {
        "visits": 1,
        "rejected_visits": 1,
        "daily_metrics": 0,
        "recommendations": 0,
    }


def test_nothing_is_asked_of_glue_while_there_is_nothing_to_crawl(watch: Watch) -> None:
    for _ in range(5):
        watch.tick()
    assert watch.glue.calls == []
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.tick()
    assert set(watch.glue.calls) == {("get_crawler", "daily_metrics"), ("start_crawler", "daily_metrics")}


def test_a_crawl_waits_until_nothing_new_has_come_for_a_while(watch: Watch) -> None:
    for day in many_days(5):
        watch.make("daily_metrics", day)
        watch.tick(QUIET_SECONDS - 1)
        assert watch.glue.started("daily_metrics") == 0
    watch.tick(QUIET_SECONDS)
    assert watch.glue.started("daily_metrics") == 1


def test_a_backfill_of_a_year_is_crawled_while_it_runs_but_seldom(watch: Watch) -> None:
    days = many_days(365)
    began = watch.now
    for day in days:  # three hours of it
        watch.make("daily_metrics", day)
        watch.tick()
        if watch.glue.began["daily_metrics"] and watch.now - watch.glue.began["daily_metrics"] >= 90:
            watch.glue.end("daily_metrics")
    during = watch.glue.started("daily_metrics")
    assert 8 <= during <= (watch.now - began) / LONGEST_WAIT_SECONDS
    for _ in range(20):
        watch.tick()
        if watch.glue.began["daily_metrics"]:
            watch.glue.end("daily_metrics")
    assert watch.glue.started("daily_metrics") == during + 1


def test_a_success_is_recorded_on_the_catalogs_asset_and_ends_the_matter(watch: Watch) -> None:
    watch.glue.days["daily_metrics"] = ["2024-01-02", "2024-01-01", "2024-01-03"]
    watch.make("daily_metrics", *many_days(3))
    watch.until_started("daily_metrics")
    watch.tick(90)
    assert watch.materialized("daily_metrics") == []
    watch.glue.end("daily_metrics")
    watch.tick()
    [made] = watch.materialized("daily_metrics")
    link = (
        "https://sa-east-1.console.aws.amazon.com/glue/home?region=sa-east-1"
        "#/v2/data-catalog/tables/view/daily_metrics?database=pits"
    )
    assert {name: value.value for name, value in made.metadata.items()} == {
        "database": "pits",
        "table": "daily_metrics",
        "partitions": 3,
        "latest_partition": "2024-01-03",
        "crawl_seconds": 120,
        "glue_table": link,
    }
    assert watch.crawled("daily_metrics") == [(True, "days in the catalog: 3")]
    assert watch.agrees("daily_metrics") == [(True, "Glue holds what the registry declares")]
    for _ in range(200):
        watch.tick()
    assert watch.glue.started("daily_metrics") == 1
    watch.make("daily_metrics")
    watch.until_started("daily_metrics", 2)


def test_days_that_come_during_a_crawl_lead_to_another(watch: Watch) -> None:
    watch.make("daily_metrics", "2024-01-01")
    watch.until_started("daily_metrics")
    watch.make("daily_metrics", "2024-01-02")
    for _ in range(5):
        watch.tick()
    assert watch.glue.started("daily_metrics") == 1
    watch.glue.end("daily_metrics")
    watch.tick()
    assert len(watch.materialized("daily_metrics")) == 1
    watch.until_started("daily_metrics", 2, within=QUIET_SECONDS)
    watch.glue.end("daily_metrics")
    watch.tick()
    assert len(watch.materialized("daily_metrics")) == 2


@pytest.mark.parametrize("seen_first", [True, False])
def test_somebody_elses_crawl_is_waited_for_and_followed_by_ones_own(watch: Watch, seen_first: bool) -> None:
    watch.make("daily_metrics")
    watch.tick()
    if seen_first:
        watch.glue.start_crawler(Name="pits-daily_metrics")
        watch.glue.calls.clear()
    else:  # it begins between the look and the start
        watch.glue.refuse["start_crawler", "daily_metrics"] = "CrawlerRunningException"
    watch.tick(QUIET_SECONDS)
    watch.tick()
    assert "somebody else's" in watch.told or "under way" in watch.told
    if seen_first:
        assert watch.glue.started("daily_metrics") == 0
        watch.glue.end("daily_metrics")
    watch.glue.refuse.clear()
    watch.glue.calls.clear()
    watch.until_started("daily_metrics", within=TICK)
    # The other's success has proved nothing; this one's does.
    assert watch.crawled("daily_metrics") == []
    watch.glue.end("daily_metrics")
    watch.tick()
    assert [passed for passed, _ in watch.crawled("daily_metrics")] == [True]


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException", "OperationTimeoutException"])
@pytest.mark.parametrize("operation", ["get_crawler", "start_crawler"])
def test_throttling_loses_nothing_and_leaves_other_tables_alone(watch: Watch, operation: str, code: str) -> None:
    watch.make("visits_parquet")
    watch.tick()
    watch.glue.refuse[operation, "visits"] = code
    watch.tick(QUIET_SECONDS)
    assert code in watch.told
    # The first table was refused; a later one goes on in the same tick.
    assert watch.glue.began["rejected_visits"]
    watch.glue.refuse.clear()
    watch.tick()
    assert watch.glue.began["visits"]
    assert watch.crawled("visits") == []


@pytest.mark.parametrize("operation", ["get_crawler", "get_partitions", "get_table"])
def test_throttling_when_a_crawl_has_ended_delays_its_record_only(watch: Watch, operation: str) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.end("daily_metrics")
    watch.glue.refuse[operation, "daily_metrics"] = "ThrottlingException"
    watch.tick()
    assert watch.events == []
    watch.glue.refuse.clear()
    watch.tick()
    assert len(watch.materialized("daily_metrics")) == 1
    assert watch.glue.started("daily_metrics") == 1


@pytest.mark.parametrize(
    ("code", "delays"),
    [
        ("EntityNotFoundException", [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        ("AccessDeniedException", [60, 120]),
    ],
)
def test_what_does_not_pass_is_told_on_the_asset_and_tried_again_ever_more_seldom(
    watch: Watch, code: str, delays: list[int]
) -> None:
    watch.make("daily_metrics")
    watch.glue.refuse["start_crawler", "daily_metrics"] = code
    tries = len(delays) + 1
    assert [watch.until_started("daily_metrics", count) for count in range(1, tries + 1)][1:] == delays
    assert len(watch.crawled("daily_metrics")) == tries
    assert all(
        not passed and f"answered by {code}: told by the fake" in text
        for passed, text in watch.crawled("daily_metrics")
    )
    watch.glue.refuse.clear()
    watch.until_started("daily_metrics", tries + 1)
    watch.glue.end("daily_metrics")
    watch.tick()
    assert watch.crawled("daily_metrics")[-1][0]


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_a_failed_crawl_is_told_on_the_asset_and_repeated(watch: Watch, status: str) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    delays = []
    for count in range(2, 5):
        watch.glue.end("daily_metrics", status, "no access to s3://bucket")
        delays.append(watch.until_started("daily_metrics", count))
    assert delays == [90, 150, 270]  # a tick to see it, then twice as long each time
    assert watch.materialized("daily_metrics") == []
    for passed, text in watch.crawled("daily_metrics"):
        assert not passed
        assert f"ended as {status}: no access to s3://bucket (log: /aws-glue/crawlers, stream l)" in text
    watch.glue.end("daily_metrics")
    watch.tick()
    assert watch.crawled("daily_metrics")[-1][0]
    # What failed before is forgotten: the next failure is tried again soon.
    watch.make("daily_metrics")
    watch.until_started("daily_metrics", 5)
    watch.glue.end("daily_metrics", status)
    assert watch.until_started("daily_metrics", 6) == 90


def test_a_crawl_beyond_the_time_limit_is_stopped_told_and_repeated(instance: dg.DagsterInstance) -> None:
    watch = Watch(instance, crawl_minutes=5)
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.tick(5 * 60)
    assert ("stop_crawler", "daily_metrics") not in watch.glue.calls
    watch.glue.refuse["stop_crawler", "daily_metrics"] = "ThrottlingException"
    watch.tick()
    assert watch.crawled("daily_metrics") == []
    watch.glue.refuse.clear()
    watch.tick()
    assert ("stop_crawler", "daily_metrics") in watch.glue.calls
    [(passed, text)] = watch.crawled("daily_metrics")
    assert not passed
    assert "longer than PIT_CRAWL_MINUTES (5)" in text
    assert watch.until_started("daily_metrics", 2) == 60
    # The crawl that was stopped is not taken for this one.
    watch.tick()
    assert len(watch.crawled("daily_metrics")) == 1


@pytest.mark.parametrize("code", ["CrawlerNotRunningException", "CrawlerStoppingException"])
def test_a_crawl_that_ends_just_as_it_is_stopped_is_stopped(watch: Watch, code: str) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.refuse["stop_crawler", "daily_metrics"] = code
    watch.tick(3600)
    [(passed, text)] = watch.crawled("daily_metrics")
    assert not passed
    assert "longer than PIT_CRAWL_MINUTES" in text


def test_a_crawl_that_glue_never_shows_is_given_up(instance: dg.DagsterInstance) -> None:
    watch = Watch(instance, crawl_minutes=5)
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.began["daily_metrics"] = 0
    watch.tick()
    assert watch.crawled("daily_metrics") == []
    watch.tick(5 * 60)
    [(passed, text)] = watch.crawled("daily_metrics")
    assert (passed, text) == (False, "Glue shows nothing of the crawl; tried again in 1 min")


def test_an_old_success_is_not_taken_for_this_crawls(watch: Watch) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.end("daily_metrics")
    watch.tick()
    watch.make("daily_metrics")
    watch.until_started("daily_metrics", 2)
    # Just started, Glue may still show the crawl before.
    began, watch.glue.began["daily_metrics"] = watch.glue.began["daily_metrics"], 0
    watch.tick()
    assert len(watch.materialized("daily_metrics")) == 1
    watch.glue.began["daily_metrics"] = began
    watch.glue.end("daily_metrics")
    watch.tick()
    assert len(watch.materialized("daily_metrics")) == 2


@pytest.mark.parametrize("crawl_ends_meanwhile", [True, False])
def test_a_daemon_that_dies_after_starting_a_crawl_crawls_at_most_once_more(
    watch: Watch, crawl_ends_meanwhile: bool
) -> None:
    watch.make("daily_metrics")
    watch.tick()
    watch.tick(QUIET_SECONDS, dies_after="effects")
    assert watch.glue.started("daily_metrics") == 1
    if crawl_ends_meanwhile:
        watch.glue.end("daily_metrics")
        watch.tick()
    else:
        watch.tick()
        watch.glue.end("daily_metrics")
        watch.tick()
    watch.glue.end("daily_metrics")
    for _ in range(50):
        watch.tick()
    assert watch.glue.started("daily_metrics") == 2
    assert len(watch.materialized("daily_metrics")) == 1


@pytest.mark.parametrize("moment", ["effects", "events"])
def test_a_daemon_that_dies_while_recording_a_crawl_records_it_again(watch: Watch, moment: str) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.end("daily_metrics")
    watch.tick(dies_after=moment)
    for _ in range(50):
        watch.tick()
    assert len(watch.materialized("daily_metrics")) == {"effects": 1, "events": 2}[moment]
    assert watch.glue.started("daily_metrics") == 1


def test_a_lost_cursor_crawls_every_table_once_more(watch: Watch) -> None:
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.end("daily_metrics")
    watch.tick()
    watch.cursor = None
    watch.until_started("daily_metrics", 2)
    assert watch.glue.started("visits") == 0


def test_drift_is_told_after_a_crawl(watch: Watch) -> None:
    columns: list[dict[str, Any]] = watch.glue.tables["daily_metrics"]["StorageDescriptor"]["Columns"]
    columns[0]["Type"] = "string"
    del columns[1]["Comment"]
    watch.make("daily_metrics")
    watch.until_started("daily_metrics")
    watch.glue.end("daily_metrics")
    watch.tick()
    [(passed, text)] = watch.agrees("daily_metrics")
    assert not passed
    assert text.splitlines() == [
        "column people_identified is string, by the registry bigint",
        "column pits_visited means '', by the registry 'number of visits'",
    ]
    assert watch.crawled("daily_metrics")[0][0]
