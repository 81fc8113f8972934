"""The one IO manager: Spark DataFrames in and out of all Parquet tables of all zones, a day at a time.

Here: which zone a table lives in, one write for many days, reading published days. Not here: how a day is
published (`zones`), what a table holds (`tables`).

The pipeline's own assets use `written` and `read`, since Dagster takes an output as made for every day of its
run, and a bad day must fail alone (`ledger`). `handle_output` and `load_input` serve any other asset that is
built on the same tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import PrivateAttr
from pyspark.sql import DataFrame, SparkSession

from pit_pipeline import spark as sparks
from pit_pipeline.bucket_zones import BucketZone
from pit_pipeline.s3 import S3Access, is_s3
from pit_pipeline.tables import PARTITION, TABLES, Table
from pit_pipeline.zones import FolderZone, Stage, Zone


class NotPublished(Exception):
    """Days were asked for that no run has published; the message names them."""


class ParquetTables(dg.ConfigurableIOManager):
    """Tables of the registry, each below its zone: a folder or `s3a://bucket/prefix`."""

    processing_uri: str
    consumer_uri: str
    s3_endpoint: str = ""
    aws_region: str = ""
    spark: dg.ResourceDependency[LazyPySparkResource]
    _own_spark: LazyPySparkResource | None = PrivateAttr(default=None)

    @contextmanager
    def configured(self, conf: Mapping[str, str]) -> Iterator[None]:
        """Spark with settings that only the step knows, ended with the step; without any, as it is configured.

        A pod's processes are killed with its first one: what Spark has still to close, such as its executors and its
        event log, it closes here or never.
        """
        if not conf:
            yield
            return
        self._own_spark = LazyPySparkResource(spark_config={**self.spark.spark_config, **conf})
        try:
            yield
        finally:
            self._own_spark = None
            if started := SparkSession.getActiveSession():
                started.stop()

    @property
    def session(self) -> SparkSession:
        """The step's Spark session, started at first use."""
        return sparks.session(self._own_spark or self.spark)

    def zone(self, table: Table) -> Zone:
        """The zone that a table lives in."""
        uri = {"processing": self.processing_uri, "consumer": self.consumer_uri}[table.zone]
        return BucketZone(S3Access(self.s3_endpoint, self.aws_region), uri) if is_s3(uri) else FolderZone(uri)

    def read(self, table: Table, days: Sequence[date]) -> DataFrame:
        """The rows of published days, with the partition column. Raises NotPublished."""
        zone = self.zone(table)
        published = zone.published(table)
        if missing := [str(day) for day in days if day not in published]:
            raise NotPublished(f"{table.name} is not published for {', '.join(missing)}; materialize {table.asset}")
        if not days:
            return self.session.createDataFrame([], table.partitioned_schema)
        reader = self.session.read.schema(table.partitioned_schema).option("basePath", zone.root(table))
        return reader.parquet(*(uri for day in days for uri in published[day].uris))

    @contextmanager
    def written(self, table: Table, frame: DataFrame) -> Iterator[Stage]:
        """A stage that holds the frame's rows, for checks and publishing.

        frame: the table's columns and the partition; a day becomes as many files as Spark has partitions with its
        rows.
        """
        with self.zone(table).stage(table) as stage:
            frame.write.mode("append").partitionBy(PARTITION).parquet(stage.uri)
            yield stage

    def handle_output(self, context: dg.OutputContext, obj: DataFrame) -> None:
        """Publish the days of the output's partitions; the asset is named like its table."""
        table = _table(context.asset_key)
        with self.written(table, obj.repartition(PARTITION)) as stage:
            for day in context.asset_partition_keys:
                stage.publish(date.fromisoformat(day))

    def load_input(self, context: dg.InputContext) -> Any:
        """The rows of the upstream asset's partitions that the input is mapped to."""
        return self.read(_table(context.asset_key), [date.fromisoformat(day) for day in context.asset_partition_keys])


def _table(asset: dg.AssetKey) -> Table:
    """An asset's own table: the first of the registry that it makes, or that bears its name."""
    name = asset.path[-1]
    for table in TABLES:
        if name in (table.asset, table.name):
            return table
    raise ValueError(f"no table of the registry belongs to asset {name}; add it to pit_pipeline/tables.py")
