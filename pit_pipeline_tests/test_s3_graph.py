"""The whole graph with its zones in buckets: Spark's S3A, the magic committer, and the local run's very rows."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import dagster as dg
import pyspark
import pytest
from pyspark.sql import SparkSession

from pit_pipeline.tables import TABLES
from pit_pipeline_tests.conftest import HEADER, Deployment, many_days, reason, visit
from pit_pipeline_tests.s3_server import S3Server

POM = Path(__file__).parent.parent / "deploy" / "jars" / "pom.xml"
DAYS = many_days(3)


def test_the_jars_are_of_the_versions_that_pyspark_has() -> None:
    pom = ET.parse(POM).getroot()
    maven = {"m": "http://maven.apache.org/POM/4.0.0"}
    version = {
        name: pom.findtext(f".//m:{name}", namespaces=maven)
        for name in ("spark.version", "scala.version", "hadoop.version")
    }
    jars = " ".join(path.name for path in (Path(pyspark.__file__).parent / "jars").iterdir())
    found = re.search(r"spark-core_([\d.]+)-([\d.]+)\.jar", jars)
    hadoop = re.search(r"hadoop-client-api-([\d.]+)\.jar", jars)
    assert found is not None
    assert hadoop is not None
    assert version == {"spark.version": found[2], "scala.version": found[1], "hadoop.version": hadoop[1]}


def day_of(number: int) -> str:
    people = "".join(visit(f"p{i}", pit, hour=number) for i in range(20) for pit in ("a", f"b{i % (number + 2)}"))
    return HEADER + people + visit("p1", "a", hour=number) + visit(hour=24)


@pytest.fixture
def s3(spark: SparkSession, tmp_path: Path, instance: dg.DagsterInstance, s3_zones: dict[str, str]) -> Deployment:
    return Deployment(tmp_path / "s3", instance, rows_per_file=15, **s3_zones)


def test_the_graph_in_buckets_makes_the_local_rows_and_a_bad_day_fails_alone(
    s3: Deployment, tmp_path: Path, s3_server: S3Server
) -> None:
    answers = []
    before = len(s3_server.requests)
    with dg.instance_for_test() as other:
        for deployment in (Deployment(tmp_path / "local", other, rows_per_file=15), s3):
            for number, day in enumerate(DAYS):
                deployment.land(day, day_of(number), "v.csv.gz" if number == 0 else "v.csv")
            deployment.land(DAYS[1], "", "w.csv")
            assert f"{DAYS[1]} raw_visits: " in reason(deployment.run(DAYS[0], DAYS[2]))
            answers.append(
                {table.name: deployment.rows(f"SELECT * FROM {table.name} ORDER BY ALL") for table in TABLES}
            )
    assert answers[0] == answers[1]
    assert all(answers[0].values())
    # Spark wrote through the magic committer, and a day of more rows than one file holds is several objects.
    assert any("__magic" in request for request in s3_server.requests[before:])
    processing, consumer = (s3_server.keys(uri) for uri in (s3.settings.processing_uri, s3.settings.consumer_uri))
    assert len([key for key in processing if key.startswith(f"visits/visit_date={DAYS[0]}/")]) > 1
    assert f"_manifests/visits/visit_date={DAYS[0]}.json" in processing
    assert [key for key in consumer if "daily_metrics" in key] == [
        f"daily_metrics/visit_date={day}/part-00000.parquet" for day in (DAYS[0], DAYS[2])
    ]
    assert not [key for key in processing + consumer if key.startswith(("_staging", "_failed", "upload"))]
    (event,) = s3.events("visits_parquet", DAYS[0])
    assert str(event.metadata["path"].value).startswith(f"{s3.settings.processing_uri}/visits/visit_date={DAYS[0]}/")


def test_rejects_of_a_failed_day_are_kept_in_the_bucket_until_it_is_mended(s3: Deployment, s3_server: S3Server) -> None:
    visits = ("raw_visits", "visits_parquet")
    s3.land(DAYS[0], HEADER + visit() + visit(hour=99))
    kept = f"{s3.settings.processing_uri}/_failed/rejected_visits/visit_date={DAYS[0]}"
    assert kept in reason(s3.run(DAYS[0], assets=visits))
    assert s3.published("visits") == []
    (key,) = s3_server.keys(s3.settings.processing_uri)
    assert f"{s3.settings.processing_uri}/{key}".startswith(kept)
    s3.land(DAYS[0], HEADER + visit())
    assert s3.run(DAYS[0], assets=visits).success
    assert s3.published("visits") == [DAYS[0]]
    assert not any("_failed" in key for key in s3_server.keys(s3.settings.processing_uri))
    # What changes after it was recorded fails the day.
    s3.land(DAYS[0], HEADER + visit() * 2)
    assert "materialize raw_visits again" in reason(s3.run(DAYS[0], assets=["visits_parquet"]))
