"""Records of a landing CSV file: bytes in, rows of text out.

Here: RFC 4180 as the data contract reads it (what is a record, a blank line, a broken quote) and the
matching of header names to contract columns. Not here: types and rules of values
(`transforms.visits`), where files come from (`landing`).

`read_rows` parses; `count_records` counts the same records by other means, so that a row lost between
the raw bytes and the tables is noticed.
"""

import csv
import io
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

csv.field_size_limit(sys.maxsize)

#: Contract column -> accepted header names, after `normalized`.
HEADER_NAMES: dict[str, tuple[str, ...]] = {
    "person_name": ("person_name", "name", "nome", "pessoa", "pessoas"),
    "person_id": ("person_id", "id"),
    "pit": ("pit", "pits"),
    "pit_category": ("pit_category", "category", "categoria", "categoria_do_pit"),
    "hour": ("hour", "hora", "horas"),
    "minute": ("minute", "minuto", "minutos"),
    "bought": ("bought", "comprou"),
    "price": ("price", "preco"),
    "quantity": ("quantity", "quantidade"),
}
OPTIONAL_COLUMNS = frozenset({"person_name", "minute"})

_COLUMN_OF = {name: column for column, names in HEADER_NAMES.items() for name in names}
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_BLANK = " \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadFile(Exception):
    """A landed file that is rejected whole; the message says what is wrong and what would be right."""


@dataclass(frozen=True)
class Row:
    """One record.

    fields: its values in file order, or None where the quoting does not let them be told apart.
    raw: the record's text as it stands in the file (bytes that are not UTF-8 as lone surrogates).
    """

    fields: list[str] | None
    raw: str


def normalized(name: str) -> str:
    """A header name as it is compared: trimmed, lower case, no accents, `_` for blanks and hyphens."""
    decomposed = unicodedata.normalize("NFKD", name.strip().lower())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.sub(r"[\s-]", "_", plain)


def contract_columns(header: Sequence[str]) -> dict[str, int]:
    """The position of each contract column in a file's header.

    Raises BadFile when a required column is missing or a contract column is named twice.
    """
    positions: dict[str, list[int]] = {}
    for i, name in enumerate(header):
        if column := _COLUMN_OF.get(normalized(name)):
            positions.setdefault(column, []).append(i)
    problems = [
        f"no column for {column} (accepted: {', '.join(names)})"
        for column, names in HEADER_NAMES.items()
        if column not in positions and column not in OPTIONAL_COLUMNS
    ]
    problems += [
        f"{column} is named {len(found)} times ({', '.join(header[i] for i in found)})"
        for column, found in positions.items()
        if len(found) > 1
    ]
    if problems:
        raise BadFile(f"{'; '.join(problems)}. Found: {_seen(header)}")
    return {column: found[0] for column, found in positions.items()}


def _seen(header: Sequence[str]) -> str:
    """What a bad header looks like, for the person who has to mend the export.

    Without a single known name it may be no header but somebody's data, which no message may show.
    """
    text = ",".join(header)
    delimiter = max(_DELIMITERS, key=text.count)
    is_utf8 = printable(text) == text
    names = text.split(delimiter)
    if any(normalized(name) in _COLUMN_OF for name in names):
        found = ", ".join(printable(name) for name in names)
    else:
        found = f"{len(names)} fields without one known name, not shown here; is the header row missing?"
    encoding = "UTF-8" if is_utf8 else "not UTF-8 (Latin-1 or UTF-16?)"
    seen = f"{found} (delimiter seen: {_DELIMITERS[delimiter]}, encoding seen: {encoding})"
    return seen if delimiter == "," and is_utf8 else f"{seen}; export it as comma-separated UTF-8"


def printable(text: str) -> str:
    """Text that any encoder takes: bytes that were not UTF-8 are written out as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_rows(stream: IO[bytes]) -> Iterator[Row]:
    """Yield the records of a CSV file, its header first; blank lines are passed over.

    Raises BadFile when the file ends inside quotes.
    """
    # Only LF ends a line here: a CR is part of CRLF, or text inside quotes, or a broken record.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="\n")
    lines: list[str] = []  # of the record being read
    number = 0

    def remembered() -> Iterator[str]:
        for line in text:
            lines.append(line)
            yield line

    reader = csv.reader(remembered(), strict=True)
    while True:
        lines.clear()
        fields: list[str] | None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise BadFile(f"ends inside quotes that open in row {number}") from error
            fields = None
        raw = lines[0] if len(lines) == 1 else "".join(lines)
        if not raw.strip(_BLANK):
            continue
        if fields is not None and len(lines) > 1:
            fields = [field.replace("\r\n", "\n") for field in fields]
        yield Row(fields, raw)
        number += 1


# Outside quotes a field starts at the line's start or after a comma; a quote elsewhere is text.
_OPENING = re.compile(rb'(?:^|,)"|\r(?![\r\n])')
_INSIDE = re.compile(rb'[^"]*(?:""[^"]*)*')
_AFTER_QUOTE = re.compile(rb",|\r*$")


def count_records(lines: Iterable[bytes]) -> int:
    """The number of records in a file's lines (split at LF), the header not counted.

    Walks the quotes line by line and shares no code with `read_rows`.
    Raises BadFile when the file ends inside quotes, naming the row in which they open.
    """
    records = 0
    quoted = False
    for number, whole in enumerate(lines):
        line = whole if number else whole.removeprefix(_BYTE_ORDER_MARK)
        if not quoted:
            if not line.strip(b" \t\r\n"):
                continue
            records += 1
        if quoted or b'"' in line:
            quoted = _ends_in_quotes(line.rstrip(b"\n"), quoted)
    if quoted:
        raise BadFile(f"ends inside quotes that open in row {records - 1}")
    return records - 1


def _ends_in_quotes(line: bytes, quoted: bool) -> bool:
    """Whether a quote is open at the end of a line, which began inside quotes or not."""
    at = 0
    while True:
        if not quoted:
            opening = _OPENING.search(line, at)
            if opening is None or opening[0] == b"\r":  # after a stray CR the record is broken
                return False
            at = opening.end()
        inside = _INSIDE.match(line, at)
        closing = inside.end() if inside else at
        if closing >= len(line):
            return True
        quoted = False
        at = closing + 1
        if not _AFTER_QUOTE.match(line, at):  # text after a closing quote breaks the record
            return False
