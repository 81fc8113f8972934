import subprocess
import sys
import warnings

import dagster as dg
import pytest

from pit_pipeline.definitions import build
from pit_pipeline.gates import GATES
from pit_pipeline.settings import Settings
from pit_pipeline.tables import DAILY_METRICS, RECOMMENDATIONS, TABLES, VISITS
from pit_pipeline_tests.conftest import GLUE


def test_the_lineage_is_the_architectures() -> None:
    graph = build(Settings()).resolve_asset_graph()
    parents = {
        key.path[-1]: {parent.path[-1] for parent in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()
    }
    assert parents == {
        "raw_visits": set(),
        "visits_parquet": {"raw_visits"},
        "daily_metrics": {"visits_parquet"},
        "recommendations": {"visits_parquet"},
    }
    assert {key.path[-1]: graph.get(key).group_name for key in graph.get_all_asset_keys()} == {
        "raw_visits": "landing",
        "visits_parquet": "processing",
        "daily_metrics": "consumer",
        "recommendations": "consumer",
    }


def test_the_ui_gets_column_schemas_and_gates_from_the_registry() -> None:
    graph = build(Settings()).resolve_asset_graph()
    for table in (VISITS, DAILY_METRICS, RECOMMENDATIONS):
        schema = graph.get(dg.AssetKey(table.asset)).metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == table.partitioned_schema.names
        assert all(column.description for column in schema.columns)
    assert graph.asset_check_keys == {dg.AssetCheckKey(dg.AssetKey(asset), gate) for gate, (asset, _) in GATES.items()}


def test_with_a_glue_database_the_lineage_ends_at_what_athena_queries() -> None:
    definitions = build(Settings.model_validate(GLUE))
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    for table in TABLES:
        node = graph.get(dg.AssetKey(["athena", table.name]))
        assert node.parent_keys == {dg.AssetKey(table.asset)}
        assert (node.group_name, node.is_materializable, node.kinds) == ("catalog", False, {"glue", "athena"})
        assert node.metadata["dagster/column_schema"] == table.column_schema
        assert table.description in str(node.description)
    on_catalog = {(key.asset_key.path[-1], key.name) for key in graph.asset_check_keys if len(key.asset_key.path) == 2}
    assert on_catalog == {(table.name, check) for table in TABLES for check in ("crawled", "agrees_with_registry")}


@pytest.mark.parametrize("automation", [True, False])
def test_sensors_start_switched_on_only_where_the_settings_say_so(automation: bool) -> None:
    sensors = list(build(Settings.model_validate({**GLUE, "automation": automation})).sensors or [])
    wanted = dg.DefaultSensorStatus.RUNNING if automation else dg.DefaultSensorStatus.STOPPED
    assert {sensor.name: sensor.default_status for sensor in sensors if isinstance(sensor, dg.SensorDefinition)} == {
        "landing_sensor": wanted,
        "crawler_sensor": wanted,
    }


def test_days_belong_to_the_businesss_time_zone() -> None:
    graph = build(Settings.model_validate({"timezone": "Asia/Tokyo", "first_day": "2024-02-03"})).resolve_asset_graph()
    partitions = graph.get(dg.AssetKey("visits_parquet")).partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert (str(partitions.timezone), partitions.get_first_partition_key()) == ("Asia/Tokyo", "2024-02-03")


def test_nothing_of_the_interface_is_deprecated_or_superseded() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dg.Definitions.validate_loadable(build(Settings()))
    told = [str(w.message) for w in caught if "deprecated" in str(w.message) or "superseded" in str(w.message)]
    assert [text for text in told if "InitResourceContext" not in text] == []


def test_importing_starts_nothing_and_loading_is_quick() -> None:
    code = """
import sys, time, dagster, pyspark.sql, dagster_pyspark, pyarrow.parquet
import os; os.environ.clear()
start = time.monotonic()
from pit_pipeline.definitions import build, defs
from pit_pipeline.settings import Settings
build(Settings()).resolve_all_job_defs()
# No call, no region, no credentials: not even the client's code.
build(Settings(glue_database="pits", athena_workgroup="w", aws_region="sa-east-1")).resolve_all_job_defs()
assert not {"boto3", "duckdb", "pyathena"} & set(sys.modules), "what answers SQL is for when it is asked"
from pyspark import SparkContext
assert SparkContext._active_spark_context is None
assert "pandas" not in sys.modules, "pandas is slow to import and not needed"
print(time.monotonic() - start)
"""
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert float(answer.stdout.split()[-1]) < 2
