"""Crawls that are throttled, refused, fail or never end, and daemons that die: seen, told and made good."""

import dagster as dg
import pytest

from pit_pipeline.crawls import QUIET_SECONDS
from pit_pipeline_tests.crawl_watch import Watch


@pytest.fixture
def watch(instance: dg.DagsterInstance) -> Watch:
    return Watch(instance)


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
