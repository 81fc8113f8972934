"""Crawls as they should go: no day is lost to Athena, few crawls are paid for, each outcome is recorded."""

from typing import Any

import dagster as dg
import pytest

from pit_pipeline.crawls import LONGEST_WAIT_SECONDS, QUIET_SECONDS
from pit_pipeline_tests.conftest import many_days
from pit_pipeline_tests.crawl_watch import TICK, Watch


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
