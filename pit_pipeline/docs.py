"""The parts of the docs that the code knows: `python -m pit_pipeline.docs` writes them anew.

`docs/tables.md` from the registry and the gates, `docs/settings.md` from the settings. Not here: anything written
by hand.
"""

from pathlib import Path

from pit_pipeline.gates import GATES
from pit_pipeline.settings import PREFIX, Settings
from pit_pipeline.tables import REJECTED_VISITS, TABLES, comment

DOCS = Path(__file__).parent.parent / "docs"
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


PAGES = {"tables.md": tables_page, "settings.md": settings_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
