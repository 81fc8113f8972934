"""Shared by all tests: one Spark session, and a whole deployment in a temporary folder."""

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import dagster as dg
import pytest
from pyspark.sql import SparkSession

from pit_pipeline import spark as sparks
from pit_pipeline.assets import STEP
from pit_pipeline.catalog import EmbeddedCatalog
from pit_pipeline.definitions import build
from pit_pipeline.docs import ROOT
from pit_pipeline.glue import crawler_name
from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.settings import Settings

HEADER = "nome,id,pit,categoria,hora,minuto,comprou,preço,quantidade\n"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    # Quick to start, but with the generated code that real runs use.
    session = sparks.session(sparks.spark_resource({**sparks.SHORT_LIVED, "spark.sql.codegen.wholeStage": "true"}))
    yield session
    session.stop()


class Deployment:
    """A local deployment of its own: settings, landing files, runs and what they recorded."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **settings: object) -> None:
        self.settings = Settings.model_validate({"workspace": root, "first_day": "2024-01-01", **settings})
        self.definitions = build(self.settings)
        self.instance = instance
        self.tables = ParquetTables(
            processing_uri=self.settings.processing_uri,
            consumer_uri=self.settings.consumer_uri,
            spark=sparks.spark_resource({}),
        )

    def land(self, day: str, content: str | bytes, name: str = "visits.csv") -> Path:
        path = Path(self.settings.landing_uri) / "visits" / f"visit_date={day}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def run(
        self,
        first: str,
        last: str | None = None,
        *,
        assets: Sequence[str] = ("raw_visits", "visits_parquet", "daily_metrics", "recommendations"),
        only: Sequence[str] = (),
    ) -> dg.ExecuteInProcessResult:
        """Run assets for a range of days, or for the days of `only`."""
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            tags={} if only else span,
            run_config={"ops": {STEP: {"config": {"days": list(only)}}}} if only else None,
        )

    def made(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def events(self, asset: str, day: str) -> list[dg.AssetMaterialization]:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[day])
        records = self.instance.fetch_materializations(wanted, limit=100).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        answer = EmbeddedCatalog(self.tables).query(sql)
        assert answer is not None
        return answer.rows

    def published(self, table: str) -> list[str]:
        return [str(row[0]) for row in self.rows(f"SELECT DISTINCT visit_date FROM {table} ORDER BY 1")]


def reason(result: dg.ExecuteInProcessResult) -> str:
    """What a failed run says."""
    assert not result.success
    failure = result.failure_data_for_node(STEP)
    assert failure is not None
    assert failure.user_failure_data is not None, failure.error
    return str(failure.user_failure_data.description)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def deployment(tmp_path: Path, instance: dg.DagsterInstance, spark: SparkSession) -> Deployment:
    return Deployment(tmp_path, instance)


GLUE = {"glue_database": "pits", "athena_workgroup": "analysts", "aws_region": "sa-east-1"}


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """A server that answers as AWS does, over HTTP."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Aws:
    """An empty AWS, which boto3 of this process finds by itself."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def tell(self, path: str, value: object) -> None:
        """Have the server behave in some way, by its own interface."""
        request = Request(f"{self.endpoint}/moto-api/{path}", json.dumps(value).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        urlopen(request, timeout=10).close()

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(service, region_name=GLUE["aws_region"])

    def declare_tables(self) -> None:
        """What Terraform declares: the database, its tables, a crawler for each, a workgroup."""
        glue = self.client("glue")
        glue.create_database(DatabaseInput={"Name": GLUE["glue_database"]})
        for table in exported_tables().values():
            glue.create_table(DatabaseName=GLUE["glue_database"], TableInput=table_input(table))
            name = crawler_name(GLUE["glue_database"], table["name"])
            glue.create_crawler(Name=name, Role="crawler", Targets={"S3Targets": [{"Path": f"s3://{table['name']}"}]})
        self.client("athena").create_work_group(Name=GLUE["athena_workgroup"], Configuration={})


def exported_tables() -> dict[str, dict[str, Any]]:
    """What Terraform reads."""
    tables: dict[str, dict[str, Any]] = json.loads((ROOT / "terraform" / "tables.json").read_text())
    return tables


def table_input(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of the registry's export as Glue takes it."""

    def columns(name: str) -> list[dict[str, str]]:
        return [{"Name": c["name"], "Type": c["type"], "Comment": c["comment"]} for c in table[name]]

    return {
        "Name": table["name"],
        "StorageDescriptor": {"Columns": columns("columns")},
        "PartitionKeys": columns("partition_keys"),
    }


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    aws = Aws(aws_endpoint)
    aws.tell("reset", {})
    return aws


def visit(
    person: str = "p1",
    pit: str = "a",
    *,
    hour: int | str = 10,
    minute: int | str = 0,
    bought: str = "sim",
    price: str = "2.50",
    quantity: int | str = 1,
) -> str:
    """A landed row under HEADER."""
    return f"Ana,{person},{pit},toys,{hour},{minute},{bought},{price},{quantity}\n"


def many_days(count: int, first: date = date(2024, 1, 1)) -> list[str]:
    return [str(date.fromordinal(first.toordinal() + i)) for i in range(count)]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with some variables set, for a command that is run as a user would."""
    return {**os.environ, **variables}
