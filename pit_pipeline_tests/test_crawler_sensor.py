"""The crawler sensor and the catalog's checks over HTTP, against moto: its crawls succeed and make no tables."""

import time
from typing import Any

import dagster as dg
import pytest

from pit_pipeline.definitions import build
from pit_pipeline.settings import Settings
from pit_pipeline_tests.conftest import GLUE, Aws, many_days


@pytest.fixture
def crawls_end(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crawls that take a second; moto calls a success by the name that ListCrawls has for it."""
    from moto.glue.models import FakeCrawler

    aws.tell(
        "state-manager/set-transition",
        {"model_name": "glue::crawl", "transition": {"progression": "time", "seconds": 1}},
    )
    told = FakeCrawler.as_dict

    def as_glue_tells(crawler: Any) -> dict[str, Any]:
        said = told(crawler)
        if said.get("LastCrawl", {}).get("Status") == "COMPLETED":
            said["LastCrawl"]["Status"] = "SUCCEEDED"
        return said

    monkeypatch.setattr(FakeCrawler, "as_dict", as_glue_tells)


def evaluations(instance: dg.DagsterInstance, table: str) -> dict[str, tuple[bool, str]]:
    """The latest result of each check of a catalog table."""
    found = {}
    for name in ("crawled", "agrees_with_registry"):
        key = dg.AssetCheckKey(dg.AssetKey(["athena", table]), name)
        for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=1):
            if record.evaluation:
                found[name] = (record.evaluation.passed, str(record.evaluation.description))
    return found


def test_new_days_reach_the_catalog_through_a_real_client(
    aws: Aws, crawls_end: None, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pit_pipeline.crawls.QUIET_SECONDS", 0)
    aws.declare_tables()
    aws.client("glue").create_partition(
        DatabaseName="pits", TableName="visits", PartitionInput={"Values": ["2024-01-02"], "StorageDescriptor": {}}
    )
    aws.client("glue").delete_table(DatabaseName="pits", Name="rejected_visits")
    repository = build(Settings.model_validate(GLUE)).get_repository_def()
    for day in many_days(2):
        instance.report_runless_asset_event(dg.AssetMaterialization("visits_parquet", partition=day))
    cursor, deadline = None, time.monotonic() + 30
    while len(evaluations(instance, "visits")) < 2:
        assert time.monotonic() < deadline
        context = dg.build_sensor_context(instance, cursor=cursor, repository_def=repository)
        result = repository.get_sensor_def("crawler_sensor")(context)
        assert isinstance(result, dg.SensorResult)
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
        cursor = result.cursor
        time.sleep(0.2)
    assert evaluations(instance, "visits") == {
        "crawled": (True, "days in the catalog: 1"),
        "agrees_with_registry": (True, "Glue holds what the registry declares"),
    }
    # A crawl that has made no table succeeds all the same; the other check tells.
    assert evaluations(instance, "rejected_visits") == {
        "crawled": (True, "days in the catalog: 0"),
        "agrees_with_registry": (False, "table rejected_visits is missing in the Glue database pits"),
    }
    crawled = [crawl["State"] for crawl in aws.client("glue").list_crawls(CrawlerName="pits-visits")["Crawls"]]
    assert crawled == ["COMPLETED"]


def test_the_checks_can_be_run_by_hand_each_by_itself(aws: Aws, crawls_end: None, instance: dg.DagsterInstance) -> None:
    aws.declare_tables()
    definitions = build(Settings.model_validate(GLUE))
    keys = [
        dg.AssetCheckKey(dg.AssetKey(["athena", table]), check)
        for table, check in (
            ("visits", "crawled"),
            ("recommendations", "crawled"),
            ("daily_metrics", "crawled"),
            ("visits", "agrees_with_registry"),
        )
    ]
    glue = aws.client("glue")
    glue.start_crawler(Name="pits-daily_metrics")
    glue.start_crawler(Name="pits-recommendations")
    glue.stop_crawler(Name="pits-recommendations")
    while any(
        glue.get_crawler(Name=f"pits-{t}")["Crawler"]["State"] != "READY" for t in ("daily_metrics", "recommendations")
    ):
        time.sleep(0.2)
    job = dg.define_asset_job("by_hand", selection=dg.AssetSelection.checks(*keys))
    result = (
        dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
        .resolve_job_def("by_hand")
        .execute_in_process(instance=instance)
    )
    assert result.success
    told = {(e.asset_key.path[-1], e.check_name): e.passed for e in result.get_asset_check_evaluations()}
    assert told == {
        ("visits", "crawled"): False,
        ("recommendations", "crawled"): False,
        ("daily_metrics", "crawled"): True,
        ("visits", "agrees_with_registry"): True,
    }
    assert evaluations(instance, "recommendations")["crawled"] == (False, "the last crawl ended as STOPPED")
    assert evaluations(instance, "visits")["crawled"] == (False, "the table has not been crawled")
