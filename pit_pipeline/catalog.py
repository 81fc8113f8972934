"""SQL on the tables, whoever holds them: what a catalog can do, and the embedded one, an in-memory DuckDB.

The embedded catalog's views are on a laptop what Athena's tables (`glue`) are on AWS. DuckDB keeps no file of its
own, so any number of people can read while a run publishes. Not here: what a table holds (`tables`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.settings import Settings
from pit_pipeline.tables import PARTITION, TABLES, Column, Table, comment
from pit_pipeline.zones import DayFiles, Zone

if TYPE_CHECKING:
    import pyarrow.dataset as ds


class BadQuery(Exception):
    """A query that the engine refuses; the message is the engine's."""


@dataclass(frozen=True)
class Answer:
    """What a query gives: its columns' names, its rows, whether there were more, and a note on the query."""

    columns: list[str]
    rows: list[tuple[object, ...]]
    cut: bool = False
    note: str = ""


class Catalog(Protocol):
    """What holds the tables of the registry and answers SQL on them."""

    def query(self, sql: str, *, limit: int | None = None) -> Answer | None:
        """The first `limit` rows of a query, or all; None for a statement that gives none. Raises BadQuery."""

    def drift(self, table: Table) -> list[str]:
        """What the catalog holds of a table otherwise than the registry: a sentence for each difference."""


def open_catalog(settings: Settings, tables: ParquetTables) -> Catalog:
    """The deployment's catalog: Glue and Athena where a Glue database is set."""
    if not settings.glue_database:
        return EmbeddedCatalog(tables)
    from pit_pipeline.glue import GlueCatalog

    return GlueCatalog(settings)


def differences(kind: str, declared: Sequence[Column], held: Sequence[Column]) -> list[str]:
    """How the columns that a catalog holds differ from those that the registry declares; kind: what to call them."""
    there, wanted = {column.name: column for column in held}, {column.name for column in declared}
    told = [f"{kind} {column.name} is not in the registry" for column in held if column.name not in wanted]
    for column in declared:
        found = there.get(column.name)
        if found is None:
            told.append(f"{kind} {column.name} is missing")
            continue
        if found.type != column.type:
            told.append(f"{kind} {column.name} is {found.type}, by the registry {column.type}")
        if found.comment != column.comment:
            told.append(f"{kind} {column.name} means '{found.comment}', by the registry '{column.comment}'")
    order = [column.name for column in held if column.name in wanted]
    expected = [column.name for column in declared if column.name in there]
    if order != expected:
        told.append(f"the order is {', '.join(order)}, by the registry {', '.join(expected)}")
    return told


class EmbeddedCatalog:
    """Views on the published days of every table; a table without any is there, typed and empty."""

    def __init__(self, tables: ParquetTables) -> None:
        import duckdb  # large, and not in the image of pods

        self._tables, self._refused = tables, duckdb.Error
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            self._create_view(table, tables.zone(table))

    def query(self, sql: str, values: Sequence[object] = (), *, limit: int | None = None) -> Answer | None:
        """The rows of a query; values: what its `?` stand for. See Catalog."""
        try:
            relation = self._connection.sql(sql, params=list(values))
            if relation is None:
                return None
            rows = (relation if limit is None else relation.limit(limit + 1)).fetchall()
        except self._refused as error:
            raise BadQuery(str(error)) from error
        except RuntimeError as error:
            if "interrupted" in str(error):  # what DuckDB makes of Ctrl-C
                raise KeyboardInterrupt from error
            raise
        return Answer(relation.columns, rows[:limit], cut=len(rows) > len(rows[:limit]))

    def drift(self, table: Table) -> list[str]:
        """See Catalog: views follow the registry, so it is published files that may differ from it."""
        declared = self._described(table.arrow_schema.empty_table())
        return [
            f"{day}: {told}"
            for day, files in self._tables.zone(table).published(table).items()
            for told in differences("column", declared, self._described(files.dataset()))
        ]

    def _described(self, rows: "pa.Table | ds.Dataset") -> list[Column]:
        types = self._connection.from_arrow(rows).limit(0)
        return [Column(name, str(kind), "") for name, kind in zip(types.columns, types.types, strict=True)]

    def _create_view(self, table: Table, zone: Zone) -> None:
        columns = ", ".join(f'"{name}"' for name in table.partitioned_schema.names)
        source = f"published_{table.name}"
        self._connection.register(source, _dataset(zone.published(table), table))
        self._connection.execute(f'CREATE VIEW "{table.name}" AS SELECT {columns} FROM {source}')
        for field in table.partitioned_schema.fields:
            text = comment(field).replace("'", "''")
            self._connection.execute(f'COMMENT ON COLUMN "{table.name}"."{field.name}" IS \'{text}\'')


def _dataset(published: Mapping[date, DayFiles], table: Table) -> "ds.Dataset | pa.Table":
    """All published days as one dataset, of which a query reads the days and columns that it names."""
    import pyarrow.dataset as ds

    schema = table.partitioned_arrow_schema
    if not published:
        return schema.empty_table()
    parquet = ds.ParquetFileFormat()
    fragments = [
        parquet.make_fragment(path, day_files.filesystem(), ds.field(PARTITION) == pa.scalar(day))
        for day, day_files in published.items()
        for path in day_files.paths
    ]
    return ds.FileSystemDataset(fragments, schema, parquet)
