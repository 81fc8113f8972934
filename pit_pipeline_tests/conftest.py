"""Shared by all tests: one Spark session, and a whole deployment in a temporary folder."""

import gzip
import json
import os
import sys
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
from pit_pipeline.deployment import parquet_tables, s3_access
from pit_pipeline.docs import ROOT
from pit_pipeline.glue import crawler_name
from pit_pipeline.s3 import is_s3, location
from pit_pipeline.settings import Settings
from pit_pipeline_tests import s3_server as servers

#: Where set-up puts the jars of deploy/jars/pom.xml.
JARS = Path(sys.prefix) / "share" / "pit_pipeline" / "jars"

HEADER = "nome,id,pit,categoria,hora,minuto,comprou,preço,quantidade\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--s3-server", help="path of a versitygw to test against in place of moto's server")


@pytest.fixture(scope="session")
def s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", servers.KEY_ID)
        patch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)
        server = servers.start(request.config.getoption("--s3-server"), tmp_path_factory.mktemp("s3"))
        yield server
        server.close()


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest) -> Iterator[SparkSession]:
    # Quick to start, but with the generated code that real runs use.
    conf = {**sparks.SHORT_LIVED, "spark.sql.codegen.wholeStage": "true"}
    if JARS.is_dir():
        server: servers.S3Server = request.getfixturevalue("s3_server")
        s3a = {name: value for name, value in server.access.spark_conf().items() if "fs.s3a" in name or "s3a" in name}
        conf |= {**s3a, "spark.driver.extraClassPath": f"{JARS}/*"}
    session = sparks.session(sparks.spark_resource(conf))
    yield session
    session.stop()


@pytest.fixture
def s3_zones(s3_server: servers.S3Server) -> dict[str, str]:
    """The settings of a deployment with three empty buckets for zones, which Spark can write to."""
    if not JARS.is_dir():
        pytest.skip("Spark's S3 jars are not here: they are brought by Maven, which this machine lacks")
    return s3_server.zones()


class Deployment:
    """A local deployment of its own: settings, landing files, runs and what they recorded."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **settings: object) -> None:
        self.settings = Settings.model_validate({"workspace": root, "first_day": "2024-01-01", **settings})
        self.definitions = build(self.settings)
        self.instance = instance
        self.tables = parquet_tables(self.settings)

    def land(self, day: str, content: str | bytes, name: str = "visits.csv") -> Path:
        data = content.encode() if isinstance(content, str) else content
        data = gzip.compress(data) if name.endswith(".gz") else data
        key = f"visits/visit_date={day}/{name}"
        if is_s3(self.settings.landing_uri):
            client, (bucket, prefix) = s3_access(self.settings).client(), location(self.settings.landing_uri)
            client.put_object(Bucket=bucket, Key=prefix + key, Body=data)
            return Path(key)
        path = Path(self.settings.landing_uri) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
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
