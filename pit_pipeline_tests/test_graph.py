"""The whole graph, run by Dagster with real Spark on real files."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pit_pipeline.transforms import metrics, visits
from pit_pipeline_tests.conftest import HEADER, Deployment, many_days, reason, visit

ASSETS = ("raw_visits", "visits_parquet", "daily_metrics", "recommendations")
DAYS = many_days(5)


def day_of(people: int = 3) -> str:
    return HEADER + "".join(visit(f"p{i}", pit) for i in range(people) for pit in ("a", f"b{i}"))


@pytest.fixture
def landed(deployment: Deployment) -> Deployment:
    for day in DAYS:
        deployment.land(day, day_of())
    return deployment


def test_a_day_is_made_from_landing_to_recommendations(deployment: Deployment) -> None:
    broken = visit(hour=99) + visit(price="x") + "short\n"
    deployment.land(DAYS[0], HEADER + visit("p1") * 2 + "".join(visit(f"q{i}") for i in range(97)) + broken)
    assert deployment.run(DAYS[0]).success
    assert [deployment.made(asset) for asset in ASSETS] == [{DAYS[0]}] * 4
    assert deployment.rows(
        "SELECT people_identified, pits_visited, revenue::VARCHAR, visit_date::VARCHAR FROM daily_metrics"
    ) == [(98, 98, "245.00", DAYS[0])]
    assert deployment.rows("SELECT reasons[1], source_file FROM rejected_visits ORDER BY 1") == [
        ("fields", "visits.csv"),
        ("hour", "visits.csv"),
        ("price", "visits.csv"),
    ]
    (event,) = deployment.events("visits_parquet", DAYS[0])
    facts = {name: value.value for name, value in event.metadata.items()}
    assert {name: facts[name] for name in facts if name.startswith("rows_")} == {
        "rows_read": 102, "rows_accepted": 98, "rows_rejected": 3, "rows_duplicate": 1,
    }  # fmt: skip
    assert (facts["rejected/hour"], facts["rejected/price"], facts["rejected/fields"]) == (1, 1, 1)
    assert facts["dagster/partition_row_count"] == 98
    assert Path(str(facts["path"])).stat().st_size == facts["bytes"]
    (metrics,) = deployment.events("daily_metrics", DAYS[0])
    assert metrics.metadata["revenue"].value == 245.0
    for asset in ASSETS:
        (event,) = deployment.events(asset, DAYS[0])
        told = str({name: value.value for name, value in event.metadata.items()})
        assert "Ana" not in told
        assert "q17" not in told


def test_one_bad_day_fails_alone_through_the_whole_graph(landed: Deployment) -> None:
    landed.land(DAYS[1], HEADER.replace("pit,", ""))
    bad = landed.land(DAYS[3], day_of() + visit(hour=24))
    result = landed.run(DAYS[0], DAYS[4])
    told = reason(result)
    assert told.startswith("2 of 5 days could not be made, all others were:")
    assert f"{DAYS[1]} raw_visits: " in told
    assert f"{DAYS[3]} visits_parquet: reject_share: 1 of 7 rows rejected (14.29%; the threshold is 5.00%)" in told
    good = {DAYS[0], DAYS[2], DAYS[4]}
    assert landed.made("raw_visits") == {*good, DAYS[3]}
    for asset, table in (("visits_parquet", "visits"), ("daily_metrics",) * 2, ("recommendations",) * 2):
        assert landed.made(asset) == good, asset
        assert landed.published(table) == sorted(good)
        assert [len(landed.events(asset, day)) for day in sorted(good)] == [1, 1, 1]
    kept = Path(landed.settings.processing_uri) / "_failed" / "rejected_visits" / f"visit_date={DAYS[3]}"
    assert str(kept) in told
    assert landed.rows(f"SELECT reasons FROM read_parquet('{kept}/*.parquet')") == [(["hour"],)]
    # Mended, that day alone is made, and nothing is kept of its failure.
    bad.write_text(day_of())
    assert landed.run(DAYS[3]).success
    assert landed.published("recommendations") == sorted({*good, DAYS[3]})
    assert not list(kept.iterdir())


def test_every_day_of_a_range_has_its_own_check_results(landed: Deployment) -> None:
    landed.land(DAYS[1], day_of() + visit(hour=24))
    result = landed.run(DAYS[0], DAYS[2])
    assert not result.success
    evaluations = [
        event.asset_check_evaluation_data
        for event in (record.event_log_entry.dagster_event for record in landed.instance.get_records_for_run(
            result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records)
        if event
    ]  # fmt: skip
    found = {(e.check_name, e.partition): e.passed for e in evaluations}
    assert len(evaluations) == len(found) == 2 * 3 + 4 * 2
    assert [check for check, passed in found.items() if not passed] == [("reject_share", DAYS[1])]


def test_a_threshold_that_allows_it_lets_the_day_pass(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lenient = Deployment(tmp_path, instance, reject_threshold=0.15)
    lenient.land(DAYS[0], day_of() + visit(hour=24))
    assert lenient.run(DAYS[0], assets=ASSETS[:2]).success
    assert lenient.rows("SELECT count(*) FROM rejected_visits") == [(1,)]


def test_days_with_gaps_are_one_run_and_those_between_are_untouched(landed: Deployment) -> None:
    landed.land(DAYS[4], "")
    result = landed.run("", only=[DAYS[0], DAYS[2], DAYS[4]])
    assert reason(result).startswith("1 of 3 days")
    assert landed.made("daily_metrics") == {DAYS[0], DAYS[2]}
    assert landed.published("daily_metrics") == [DAYS[0], DAYS[2]]


def test_a_missing_day_is_an_error_and_an_empty_one_is_not(deployment: Deployment) -> None:
    deployment.land(DAYS[0], HEADER)
    told = reason(deployment.run(DAYS[0], DAYS[1]))
    assert f"no visits have landed for {DAYS[1]}" in told
    assert deployment.rows(
        "SELECT pits_visited, revenue::VARCHAR, conversion_rate, average_ticket FROM daily_metrics"
    ) == [(0, "0.00", None, None)]
    assert deployment.made("recommendations") == {DAYS[0]}
    assert deployment.rows("SELECT * FROM recommendations") == []


def test_running_again_gives_the_same_rows_and_no_more_files(landed: Deployment) -> None:
    def everything() -> list[object]:
        tables = ("visits", "rejected_visits", "daily_metrics", "recommendations")
        return [landed.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in tables]

    assert landed.run(DAYS[0], DAYS[2]).success
    first = everything()
    files = sorted(path for path in landed.settings.workspace.rglob("*.parquet"))
    assert landed.run(DAYS[1], DAYS[2]).success
    assert everything() == first
    assert sorted(path for path in landed.settings.workspace.rglob("*.parquet")) == files


def test_a_lost_row_is_caught_before_the_day_is_published(landed: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = visits.accepted
    monkeypatch.setattr(visits, "accepted", lambda rows: kept(rows).where(F.col("pit") != "b1"))
    told = reason(landed.run(DAYS[0], assets=ASSETS[:2]))
    assert "row_accounting: 6 read, 5 accepted + 0 rejected + 0 duplicates = 5" in told
    assert landed.published("visits") == []


def test_metrics_that_disagree_with_the_visits_are_not_published(
    landed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = metrics.daily_metrics

    def wrong(rows: DataFrame, days: DataFrame) -> DataFrame:
        right = made(rows, days)
        off = F.when(F.col("visit_date") == DAYS[1], F.lit("0.01")).otherwise(F.lit("0")).cast("decimal(3,2)")
        changed = right.withColumn("revenue", (F.col("revenue") + off).cast("decimal(38,2)"))
        return changed.select(*right.columns)

    monkeypatch.setattr(metrics, "daily_metrics", wrong)
    told = reason(landed.run(DAYS[0], DAYS[1]))
    assert "agrees_with_visits: the Parquet has 6 visits and a revenue of 15.00; daily_metrics says 6 and 15.01" in told
    assert landed.published("daily_metrics") == [DAYS[0]]
    # Independent of the metrics, the recommendations of that day are made.
    assert landed.published("recommendations") == DAYS[:2]


def test_visits_are_made_from_exactly_what_raw_visits_recorded(landed: Deployment) -> None:
    assert landed.run(DAYS[0], DAYS[1], assets=["raw_visits"]).success
    landed.land(DAYS[1], day_of(4))
    told = reason(landed.run(DAYS[0], DAYS[2], assets=["visits_parquet"]))
    assert f"{DAYS[1]} visits_parquet: the files are " in told
    assert f"{DAYS[2]} visits_parquet: the files are " in told
    assert "raw_visits has not recorded the day; materialize raw_visits again" in told
    assert landed.published("visits") == [DAYS[0]]


def test_what_needs_visits_says_so_when_there_are_none(landed: Deployment) -> None:
    told = reason(landed.run(DAYS[0], assets=["daily_metrics", "recommendations"]))
    assert f"no visits are published for {DAYS[0]}; materialize visits_parquet first" in told


def test_a_corrected_file_makes_its_day_stale_and_no_other(landed: Deployment) -> None:
    def tags(asset: str, day: str) -> Mapping[str, str]:
        return landed.events(asset, day)[0].tags or {}

    assert landed.run(DAYS[0], DAYS[1]).success
    before = {day: tags("daily_metrics", day) for day in DAYS[:2]}
    landed.land(DAYS[1], day_of(4))
    assert landed.run(DAYS[0], DAYS[1]).success
    after = {day: tags("daily_metrics", day) for day in DAYS[:2]}
    version = "dagster/data_version"
    assert before[DAYS[0]][version] == after[DAYS[0]][version]
    assert before[DAYS[1]][version] != after[DAYS[1]][version]
    recorded = tags("raw_visits", DAYS[1])[version]
    assert tags("visits_parquet", DAYS[1])["dagster/input_data_version/raw_visits"] == recorded


def test_recommendations_look_back_on_published_days_only(landed: Deployment) -> None:
    landed.land(DAYS[1], "")
    assert not landed.run(DAYS[0], DAYS[2]).success
    (event,) = landed.events("recommendations", DAYS[2])
    assert event.metadata["window_days_published"].value == 2


def test_thirty_days_take_at_most_twice_the_spark_jobs_of_one(deployment: Deployment) -> None:
    for day in many_days(30):
        deployment.land(day, day_of())
    context = deployment.tables.session.sparkContext

    def jobs_for(first: str, last: str) -> int:
        context.setJobGroup(first + last, "counted")
        assert deployment.run(first, last, assets=ASSETS[:2]).success
        return len(context.statusTracker().getJobIdsForGroup(first + last))

    one = jobs_for("2024-01-01", "2024-01-01")
    assert one > 0
    assert jobs_for("2024-01-01", "2024-01-30") <= 2 * one
    assert len(deployment.made("visits_parquet")) == 30
