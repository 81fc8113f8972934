"""Glue and Athena, answered over HTTP by moto: it keeps what it is told, runs no SQL and crawls nothing."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber

from pit_pipeline.catalog import BadQuery, differences
from pit_pipeline.glue import GlueBusy, GlueCatalog, GlueRefused
from pit_pipeline.settings import Settings
from pit_pipeline.tables import DAILY_METRICS, RECOMMENDATIONS, TABLES, VISITS, Column
from pit_pipeline_tests.conftest import GLUE, Aws, environment, exported_tables, table_input

SETTINGS = Settings.model_validate(GLUE)
VARIABLES = {f"PIT_{name.upper()}": value for name, value in GLUE.items()}


def declared(name: str) -> dict[str, Any]:
    return table_input(exported_tables()[name])


def test_tables_as_exported_to_terraform_do_not_drift(aws: Aws) -> None:
    aws.declare_tables()
    assert [GlueCatalog(SETTINGS).drift(table) for table in TABLES] == [[]] * 4


def test_a_nested_type_that_glue_has_spelt_its_own_way_is_no_drift(aws: Aws) -> None:
    aws.declare_tables()
    table = declared("recommendations")
    table["StorageDescriptor"]["Columns"][2]["Type"] = "ARRAY<STRUCT<pit: string, score: double, reason: string>>"
    aws.client("glue").update_table(DatabaseName="pits", TableInput=table)
    assert GlueCatalog(SETTINGS).drift(RECOMMENDATIONS) == []


def _remove(table: dict[str, Any]) -> None:
    del table["StorageDescriptor"]["Columns"][2]


def _add(table: dict[str, Any]) -> None:
    table["StorageDescriptor"]["Columns"].append({"Name": "colour", "Type": "string"})


def _swap(table: dict[str, Any]) -> None:
    table["StorageDescriptor"]["Columns"].reverse()


def _retype(table: dict[str, Any]) -> None:
    table["StorageDescriptor"]["Columns"][6]["Type"] = "double"


def _comment(table: dict[str, Any]) -> None:
    del table["StorageDescriptor"]["Columns"][0]["Comment"]


def _partition(table: dict[str, Any]) -> None:
    table["PartitionKeys"][0]["Type"] = "string"


def _unpartitioned(table: dict[str, Any]) -> None:
    table["PartitionKeys"] = []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_remove, "column distinct_pits_visited is missing"),
        (_add, "column colour is not in the registry"),
        (_swap, "the order is average_ticket, .*, people_identified, by the registry people_identified, .*"),
        (_retype, r"column revenue is double, by the registry decimal\(38,2\)"),
        (_comment, "column people_identified means '', by the registry 'distinct person_id among .*'"),
        (_partition, "partition key visit_date is string, by the registry date"),
        (_unpartitioned, "partition key visit_date is missing"),
    ],
)
def test_each_difference_from_the_registry_is_one_sentence(
    aws: Aws, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    aws.declare_tables()
    table = declared("daily_metrics")
    change(table)
    aws.client("glue").update_table(DatabaseName="pits", TableInput=table)
    [sentence] = GlueCatalog(SETTINGS).drift(DAILY_METRICS)
    assert re.fullmatch(told, sentence)
    assert GlueCatalog(SETTINGS).drift(VISITS) == []


def test_a_missing_table_is_drift_and_has_no_days(aws: Aws) -> None:
    aws.declare_tables()
    aws.client("glue").delete_table(DatabaseName="pits", Name="visits")
    catalog = GlueCatalog(SETTINGS)
    assert catalog.drift(VISITS) == ["table visits is missing in the Glue database pits"]
    assert catalog.days(VISITS) == []


def test_several_differences_are_told_together() -> None:
    registry = [Column("a", "int", "x"), Column("b", "int", "y"), Column("c", "int", "z")]
    held = [Column("c", "int", "z"), Column("a", "bigint", "x"), Column("d", "int", "")]
    assert differences("column", registry, held) == [
        "column d is not in the registry",
        "column a is bigint, by the registry int",
        "column b is missing",
        "the order is c, a, by the registry a, c",
    ]


def test_the_days_of_a_table_come_in_order_from_all_pages_without_their_columns(aws: Aws) -> None:
    client = aws.client("glue")
    asked = {"DatabaseName": "pits", "TableName": "visits", "ExcludeColumnSchema": True}
    with Stubber(client) as glue:  # moto's answers have one page only
        first = {"Partitions": [{"Values": ["2024-02-01"]}, {"Values": ["2023-12-31"]}], "NextToken": "more"}
        glue.add_response("get_partitions", first, asked)
        glue.add_response(
            "get_partitions", {"Partitions": [{"Values": ["2024-01-01"]}]}, {**asked, "NextToken": "more"}
        )
        assert GlueCatalog(SETTINGS, client).days(VISITS) == ["2023-12-31", "2024-01-01", "2024-02-01"]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, GlueBusy),
        ("TooManyRequestsException", 400, GlueBusy),
        ("SomethingNew", 429, GlueBusy),
        ("OperationTimeoutException", 400, GlueBusy),
        ("SomethingNew", 503, GlueBusy),
        ("EntityNotFoundException", 400, GlueRefused),
        ("AccessDeniedException", 400, GlueRefused),
        ("ExpiredTokenException", 400, GlueRefused),
    ],
)
def test_errors_that_pass_are_told_from_those_that_do_not(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, code: str, status: int, kind: type[Exception]
) -> None:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    client = aws.client("glue")

    def refuse(**_: object) -> None:
        raise ClientError(answer, "GetCrawler")

    monkeypatch.setattr(client, "get_crawler", refuse)
    with pytest.raises(kind, match=f"the Glue crawler pits-visits: .*{code}"):
        GlueCatalog(SETTINGS, client).crawler(VISITS)


def test_a_server_that_does_not_answer_passes_and_missing_credentials_do_not(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = aws.client("glue")

    def no_credentials(**_: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(client, "start_crawler", no_credentials)
    with pytest.raises(GlueRefused, match="Unable to locate credentials"):
        GlueCatalog(SETTINGS, client).start(VISITS)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(GlueBusy, match="Could not connect"):
        GlueCatalog(SETTINGS).start(VISITS)


def rows(*values: str) -> list[dict[str, Any]]:
    return [{"Data": [{"VarCharValue": value}]} for value in values]


def queue(aws: Aws, name: str, kind: str, *values: str) -> None:
    """What the next query gives, in place of Athena's engine; the first row of a result is its header."""
    info = {"Name": name, "Label": name, "Type": kind, "Precision": 0, "Scale": 0, "Nullable": "UNKNOWN"}
    results = [{"rows": rows(name, *values), "column_info": [info]}]
    aws.tell("static/athena/query-results", {"region": GLUE["aws_region"], "results": results})


def sql(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pit_pipeline.cli", "sql", *arguments],
        env=environment(COLUMNS="200", **VARIABLES, **variables), input=stdin,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def executions(aws: Aws) -> list[Mapping[str, Any]]:
    athena = aws.client("athena")
    ids = athena.list_query_executions(WorkGroup=GLUE["athena_workgroup"])["QueryExecutionIds"]
    return [athena.get_query_execution(QueryExecutionId=i)["QueryExecution"] for i in ids]


def test_sql_on_aws_is_athenas_answer_from_the_workgroup(aws: Aws, tmp_path: Path) -> None:
    aws.declare_tables()
    queue(aws, "visits", "bigint", "1234567")
    answer = sql(
        "SELECT count(*) AS visits FROM visits;",
        PIT_WORKSPACE=str(tmp_path),
        AWS_ATHENA_S3_STAGING_DIR="s3://elsewhere/",
    )
    assert answer.returncode == 0, answer.stderr
    assert "│ 1234567 │" in answer.stdout
    assert answer.stdout.endswith("1 row, 0 bytes scanned\n")
    [asked] = executions(aws)
    assert asked["Query"] == "SELECT count(*) AS visits FROM visits"
    assert asked["QueryExecutionContext"]["Database"] == "pits"
    # Where results go is the workgroup's affair.
    assert not asked.get("ResultConfiguration")
    assert list(tmp_path.iterdir()) == []


def test_a_long_answer_is_cut_and_says_so(aws: Aws) -> None:
    aws.declare_tables()
    queue(aws, "pit", "varchar", *(f"p{i}" for i in range(5)))
    answer = GlueCatalog(SETTINGS).query("SELECT pit FROM visits", limit=3)
    assert answer is not None
    assert (answer.columns, answer.rows, answer.cut) == (["pit"], [("p0",), ("p1",), ("p2",)], True)
    queue(aws, "pit", "varchar", "p0", "p1", "p2")
    answer = GlueCatalog(SETTINGS).query("SELECT pit FROM visits", limit=3)
    assert answer is not None
    assert (len(answer.rows), answer.cut) == (3, False)


def test_athenas_refusal_is_its_own_message_without_a_traceback(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    answer = sql("SELECT 1")
    assert answer.returncode == 1
    assert answer.stderr == 'Error: Could not connect to the endpoint URL: "http://127.0.0.1:9/"\n'


def test_a_query_that_fails_in_the_engine_says_why(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyathena.common import BaseCursor

    aws.declare_tables()
    found = BaseCursor._get_query_execution

    def fail(cursor: Any, query_id: str) -> Any:
        """moto's queries never fail: what Athena says of one that does."""
        execution = found(cursor, query_id)
        execution._state, execution._state_change_reason = "FAILED", "COLUMN_NOT_FOUND: line 1:8: Column 'x'"
        return execution

    monkeypatch.setattr(BaseCursor, "_get_query_execution", fail)
    with pytest.raises(BadQuery, match="COLUMN_NOT_FOUND: line 1:8"):
        GlueCatalog(SETTINGS).query("SELECT x")


@pytest.mark.parametrize("typed", [True, False])
def test_an_interrupt_cancels_the_query_in_athena(aws: Aws, typed: bool) -> None:
    aws.declare_tables()
    never = {"model_name": "athena::execution", "transition": {"progression": "time", "seconds": 600}}
    aws.tell("state-manager/set-transition", never)
    process = subprocess.Popen(
        [sys.executable, "-m", "pit_pipeline.cli", "sql", *([] if typed else ["SELECT 1"])],
        env=environment(**VARIABLES), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdin
        process.stdin.write("SELECT 1;\n" if typed else "")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not executions(aws):
            assert time.monotonic() < deadline, "no query has begun"
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        # Who types goes on with the next query.
        assert ("cancelled" if typed else "Aborted!") in told
        assert process.returncode == (0 if typed else 1)
        assert "Traceback" not in told
        assert [asked["Status"]["State"] for asked in executions(aws)] == ["CANCELLED"]
    finally:
        process.kill()
