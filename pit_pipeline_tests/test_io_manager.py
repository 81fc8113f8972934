"""Another team's asset on the same tables: what the IO manager does for it."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from pyspark.sql import DataFrame, SparkSession

from pit_pipeline.io_manager import NotPublished, ParquetTables
from pit_pipeline.spark import spark_resource
from pit_pipeline.tables import DAILY_METRICS, PARTITION

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-10")
COUNTS = {"people_identified": 1, "distinct_pits_visited": 1, "purchases": 0, "pits_sold": 0, "distinct_pits_sold": 0}


def materialized(tables: ParquetTables, visits: int, days: list[str]) -> list[int]:
    """Writes daily_metrics through an output and reads it back through an input; the visits that were read."""
    read: list[int] = []

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def daily_metrics(context: dg.AssetExecutionContext) -> DataFrame:
        rows = tables.session.createDataFrame([(day,) for day in context.partition_keys], "visit_date string")
        values = {**{name: str(value) for name, value in COUNTS.items()}, "pits_visited": str(visits)}
        columns = [f"cast({values.get(f.name, 'NULL' if f.nullable else '0')} as {f.dataType.simpleString()}) {f.name}"
                   for f in DAILY_METRICS.schema.fields]  # fmt: skip
        return rows.selectExpr(*columns, f"cast({PARTITION} as date) {PARTITION}")

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def report(daily_metrics: DataFrame) -> None:
        read.extend(row["pits_visited"] for row in daily_metrics.orderBy(PARTITION).collect())

    tags = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
    assert dg.materialize([daily_metrics, report], resources={"io_manager": tables}, tags=tags).success
    return read


def test_outputs_are_published_by_day_and_read_back(spark: SparkSession, tmp_path: Path) -> None:
    tables = ParquetTables(
        processing_uri=str(tmp_path / "p"), consumer_uri=str(tmp_path / "c"), spark=spark_resource({})
    )
    assert materialized(tables, 7, ["2024-01-01", "2024-01-03"]) == [7, 7, 7]
    assert materialized(tables, 8, ["2024-01-02"]) == [8]
    rows = tables.read(DAILY_METRICS, sorted(tables.zone(DAILY_METRICS).published(DAILY_METRICS))).collect()
    assert sorted((str(row[PARTITION]), row["pits_visited"]) for row in rows) == [
        ("2024-01-01", 7),
        ("2024-01-02", 8),
        ("2024-01-03", 7),
    ]
    assert len(list(tmp_path.rglob("*.parquet"))) == 3


def test_a_day_that_is_not_published_is_an_error_that_names_it(spark: SparkSession, tmp_path: Path) -> None:
    tables = ParquetTables(processing_uri=str(tmp_path), consumer_uri=str(tmp_path), spark=spark_resource({}))
    with pytest.raises(NotPublished, match="daily_metrics is not published for 2024-01-01; materialize daily_metrics"):
        tables.read(DAILY_METRICS, [date(2024, 1, 1)])
