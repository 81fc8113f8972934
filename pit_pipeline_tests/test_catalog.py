"""The embedded catalog: SQL by DuckDB on the tables of the registry."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pit_pipeline.catalog import BadQuery, EmbeddedCatalog, open_catalog
from pit_pipeline.glue import GlueCatalog
from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.settings import Settings
from pit_pipeline.spark import spark_resource
from pit_pipeline.tables import DAILY_METRICS, TABLES
from pit_pipeline_tests.conftest import GLUE


@pytest.fixture
def tables(tmp_path_factory: pytest.TempPathFactory) -> ParquetTables:
    zones = tmp_path_factory.mktemp("zones")
    return ParquetTables(processing_uri=str(zones / "p"), consumer_uri=str(zones / "c"), spark=spark_resource({}))


def test_the_settings_choose_the_catalog(tables: ParquetTables) -> None:
    assert isinstance(open_catalog(Settings(), tables), EmbeddedCatalog)
    assert isinstance(open_catalog(Settings.model_validate(GLUE), tables), GlueCatalog)


def test_an_answer_holds_all_rows_or_says_that_it_is_cut(tables: ParquetTables) -> None:
    catalog = EmbeddedCatalog(tables)
    whole = catalog.query("SELECT i, 'x' AS t FROM range(5) r(i) ORDER BY i")
    assert whole is not None
    assert (whole.columns, len(whole.rows), whole.cut) == (["i", "t"], 5, False)
    cut = catalog.query("SELECT * FROM range(5) ORDER BY 1 DESC", limit=3)
    assert cut is not None
    assert (cut.rows, cut.cut) == ([(4,), (3,), (2,)], True)
    exact = catalog.query("SELECT * FROM range(?)", [3], limit=3)
    assert exact is not None
    assert (len(exact.rows), exact.cut) == (3, False)


@pytest.mark.parametrize("query", ["SELECT nothing", "SELECT 'x'::INT"])
def test_what_the_engine_refuses_is_told_also_while_rows_are_read(tables: ParquetTables, query: str) -> None:
    with pytest.raises(BadQuery, match=r"Binder Error|Conversion Error"):
        EmbeddedCatalog(tables).query(query)


def test_files_that_are_not_as_the_registry_declares_are_named_by_day(tables: ParquetTables) -> None:
    assert [EmbeddedCatalog(tables).drift(table) for table in TABLES] == [[]] * 4
    rows = DAILY_METRICS.arrow_schema.empty_table()
    index = rows.schema.get_field_index("revenue")
    old = rows.set_column(index, "revenue", pa.array([], pa.float64()))
    with tables.zone(DAILY_METRICS).stage(DAILY_METRICS) as stage:
        folder = Path(stage.path) / "visit_date=2024-01-01"
        folder.mkdir()
        pq.write_table(old, folder / "old.parquet")
        stage.publish(date(2024, 1, 1))
    assert EmbeddedCatalog(tables).drift(DAILY_METRICS) == [
        "2024-01-01: column revenue is DOUBLE, by the registry DECIMAL(38,2)"
    ]
