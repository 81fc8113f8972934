"""SQL on the tables: the embedded catalog, an in-memory DuckDB with a view per table of the registry.

The views are on a laptop what Athena's tables are on AWS. DuckDB keeps no file of its own, so any number of
people can read while a run publishes. Not here: what a table holds (`tables`).
"""

from collections.abc import Sequence

import duckdb

from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.tables import PARTITION, TABLES, Table, comment
from pit_pipeline.zones import Zone


class BadQuery(Exception):
    """A query that the engine refuses; the message is the engine's."""


class EmbeddedCatalog:
    """Views on the published days of every table; a table without any is there, typed and empty."""

    def __init__(self, tables: ParquetTables) -> None:
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            self._create_view(table, tables.zone(table))

    def query(self, sql: str, values: Sequence[object] = ()) -> duckdb.DuckDBPyRelation | None:
        """The rows of a query, or None for a statement that has none; values: what its `?` stand for.

        Raises BadQuery.
        """
        try:
            return self._connection.sql(sql, params=list(values))
        except duckdb.Error as error:
            raise BadQuery(str(error)) from error

    def _create_view(self, table: Table, zone: Zone) -> None:
        columns = ", ".join(f'"{name}"' for name in table.partitioned_schema.names)
        if zone.published(table):
            files = str(zone.root(table) / f"{PARTITION}=*" / "*.parquet").replace("'", "''")
            source = f"read_parquet('{files}', hive_partitioning = true, hive_types = {{'{PARTITION}': DATE}})"
        else:
            source = f"no_{table.name}"
            self._connection.register(source, table.partitioned_arrow_schema.empty_table())
        self._connection.execute(f'CREATE VIEW "{table.name}" AS SELECT {columns} FROM {source}')
        for field in table.partitioned_schema.fields:
            text = comment(field).replace("'", "''")
            self._connection.execute(f'COMMENT ON COLUMN "{table.name}"."{field.name}" IS \'{text}\'')
