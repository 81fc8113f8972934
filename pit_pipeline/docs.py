"""The parts of the docs that the code knows: `python -m pit_pipeline.docs` writes them anew.

`docs/tables.md` from the registry and the gates, `docs/settings.md` from the settings, and `terraform/tables.json`,
the registry as Terraform declares it in Glue. Not here: anything written by hand.
"""

import json
from pathlib import Path

from pit_pipeline.gates import GATES
from pit_pipeline.settings import PREFIX, Settings
from pit_pipeline.tables import REJECTED_VISITS, TABLES, comment

ROOT = Path(__file__).parent.parent
_NOTE = "<!-- Written by `python -m pit_pipeline.docs`; change the code, not this file. -->\n"


def tables_page() -> str:
    """Every table with its columns and the gates before it."""
    parts = [_NOTE, "# Tables\n", "Parquet (zstd), one folder `visit_date=YYYY-MM-DD` per day.\n"]
    for table in TABLES:
        parts += [f"## `{table.zone}/{table.name}`\n", f"{table.description} Asset: `{table.asset}`.\n"]
        parts.append("| column | type | null | meaning |\n| --- | --- | --- | --- |")
        parts += [
            f"| `{f.name}` | `{f.dataType.simpleString()}` | {'yes' if f.nullable else 'no'} | {comment(f)} |"
            for f in table.partitioned_schema.fields
        ]
        gates = [f"- `{gate}`: {text}" for gate, (asset, text) in GATES.items() if asset == table.asset]
        if gates and table is not REJECTED_VISITS:
            parts += ["\nBefore a day is published:\n", *gates]
        parts.append("")
    return "\n".join(parts)


def settings_page() -> str:
    """Every setting with its meaning, default and an example."""
    parts = [
        _NOTE,
        "# Settings\n",
        "Environment variables, read once when the code location loads. None is needed on one machine; a wrong or",
        "unknown one stops the start with a message that names it.\n",
        "| variable | meaning | default | example |\n| --- | --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        examples = field.examples or [field.default]
        default = "" if field.default in ("", {}) else f"`{field.default}`"
        parts.append(f"| `{PREFIX}{name.upper()}` | {field.description} | {default} | `{examples[0]}` |")
    return "\n".join([*parts, ""])


def tables_json() -> str:
    """The registry by table name, for Terraform's for_each: columns and partition keys in Glue's types."""
    tables = {
        table.name: {
            "name": table.name,
            "zone": table.zone,
            "description": table.description,
            "columns": [column._asdict() for column in table.hive_columns],
            "partition_keys": [column._asdict() for column in table.hive_partition_keys],
        }
        for table in TABLES
    }
    return json.dumps(tables, indent=2, ensure_ascii=False) + "\n"


PAGES = {"docs/tables.md": tables_page, "docs/settings.md": settings_page, "terraform/tables.json": tables_json}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
