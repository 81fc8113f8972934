"""What a materialization says of itself in the UI: facts, previews and figures, never who a person is.

Everything is read from what was written or already known; nothing is computed for it. Not here: when a
materialization is recorded (`ledger`).
"""

from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa

from pit_pipeline.landing import LandedDay
from pit_pipeline.tables import Table
from pit_pipeline.zones import DayFiles

_PREVIEW_ROWS = 5


def landed_metadata(landed: LandedDay, key: str) -> dict[str, Any]:
    """What has landed for a day: its files with their sizes, digests and columns."""
    files = [
        dg.TableRecord(
            {
                "file": file.name,
                "bytes": file.size,
                "rows": file.records,
                "sha256": file.digest,
                "columns": ", ".join(file.header),
            }
        )
        for file in landed.files
    ]
    return {
        "path": dg.MetadataValue.path(key),
        "files": len(landed.files),
        "bytes": landed.size,
        "rows": landed.records,
        "fingerprint": landed.fingerprint,
        "landed": dg.MetadataValue.table(files),
        "ignored_files": dg.MetadataValue.json(list(landed.ignored)),
    }


def table_metadata(table: Table, published: DayFiles) -> dict[str, Any]:
    """A published day of a table: where it is, how much it is, and its first rows without what is private."""
    columns = [name for name in table.schema.names if name not in table.private]
    dataset = published.dataset()
    rows = dataset.head(_PREVIEW_ROWS, columns=columns, batch_size=_PREVIEW_ROWS).to_pylist()
    return {
        "path": dg.MetadataValue.path(published.uris[0]),
        "files": len(published.uris),
        "bytes": published.size,
        "dagster/partition_row_count": dataset.count_rows(),
        "preview": dg.MetadataValue.md(markdown_table(columns, rows)),
    }


def figures_of(row: pa.Table) -> dict[str, int | float]:
    """A row of figures, each under its own name, so that the UI plots it over days; nulls are left out."""
    (figures,) = row.to_pylist()
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in figures.items()
        if value is not None
    }


def markdown_table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    """A Markdown table; lists are shortened and structs shown by their values."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(_cell(entry) for entry in value[:3])
        return f"{shown}, ... ({len(value)})" if len(value) > 3 else shown
    if isinstance(value, dict):
        return " ".join(_cell(entry) for entry in value.values())
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
