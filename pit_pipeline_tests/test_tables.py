import pytest

from pit_pipeline.docs import PAGES, ROOT
from pit_pipeline.tables import TABLES, comment
from pit_pipeline_tests.conftest import Deployment, exported_tables


@pytest.mark.parametrize("name", PAGES)
def test_the_docs_say_what_the_code_says(name: str) -> None:
    assert (ROOT / name).read_text() == PAGES[name](), "run: python -m pit_pipeline.docs"


def test_every_column_of_every_table_says_what_it_means() -> None:
    assert all(len(comment(field)) > 5 for table in TABLES for field in table.partitioned_schema.fields)


def test_a_table_without_any_day_is_there_in_sql_typed_and_empty(deployment: Deployment) -> None:
    for table in TABLES:
        assert deployment.rows(f"SELECT * FROM {table.name}") == []
        described = {row[0]: row[1] for row in deployment.rows(f"DESCRIBE {table.name}")}
        assert list(described) == table.partitioned_schema.names
        assert described["visit_date"] == "DATE"
    types = {row[0]: row[1] for row in deployment.rows("DESCRIBE daily_metrics")}
    assert (types["pits_visited"], types["revenue"], types["conversion_rate"]) == ("BIGINT", "DECIMAL(38,2)", "DOUBLE")


def test_terraform_reads_every_table_by_name_in_glues_types() -> None:
    tables = exported_tables()
    assert list(tables) == [table.name for table in TABLES]
    types = {column["name"]: column["type"] for table in tables.values() for column in table["columns"]}
    assert types["visited_at"] == "timestamp"
    assert types["revenue"] == "decimal(38,2)"
    assert types["pits_recommended"] == "array<struct<pit:string,score:double,reason:string>>"
    for table in tables.values():
        assert [(key["name"], key["type"]) for key in table["partition_keys"]] == [("visit_date", "date")]
        # What Glue takes as a comment.
        assert all(0 < len(column["comment"]) <= 255 for column in table["columns"] + table["partition_keys"])
