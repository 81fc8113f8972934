"""The landing zone: which files have landed for which day, and whether they can be read.

Here: listing, reading whole files once to check them (header, gzip, quotes), counting their records and
fingerprinting their content. It is read, never written. Not here: where the files lie (`sources`), the rows of a
file (`records`), types and rules of values (`transforms.visits`), what is done about a change (`automation`).
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO, cast

from pit_pipeline.records import BadFile, contract_columns, count_records, printable, read_rows
from pit_pipeline.sources import Listed, Source, Stream

DATASET = "visits"
DAY_PREFIX = "visit_date="


@dataclass(frozen=True)
class LandedFile:
    """A file as it was when it was read whole.

    size: bytes as stored; digest: an id of those bytes, SHA-256 in a folder, the ETag in S3; records: data rows,
    malformed ones included; header: the file's own column names.
    """

    name: str
    path: str
    size: int
    digest: str
    records: int
    header: tuple[str, ...]


@dataclass(frozen=True)
class LandedDay:
    """The files of a day that hold visits, by name, and the names of others that were passed over."""

    day: date
    files: tuple[LandedFile, ...]
    ignored: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes when a file is added, removed, renamed or changed, and only then."""
        return fingerprint((file.name, file.digest) for file in self.files)

    @property
    def records(self) -> int:
        """Data rows in all files."""
        return sum(file.records for file in self.files)

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)


class BadDay(Exception):
    """A day that cannot be made; the message names the key or file and says what is wrong with it."""


class Landing:
    """A landing zone: `<source>/visits/visit_date=YYYY-MM-DD/*.csv` or `*.csv.gz`."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def key(self, day: date) -> str:
        """Where a day's files land."""
        return f"{self.source.uri.rstrip('/')}/{_folder(day)}"

    def days(self) -> list[date]:
        """The days of which at least one file of visits has landed, in order."""
        return sorted(self.listing())

    def listing(self) -> dict[date, list[Listed]]:
        """The files of every day that has any, without reading them."""
        found: dict[date, list[Listed]] = {}
        for file in self.source.files(f"{DATASET}/"):
            day = _day_of(file)
            if day and _holds_visits(file):
                found.setdefault(day, []).append(file)
        return found

    def fingerprint(self, day: date) -> str | None:
        """The fingerprint that the day's files have now, or None without files; checks nothing else."""
        files, _ = self._files(day)
        return fingerprint((_name(file), self.source.content_id(file)) for file in files) if files else None

    def scan(self, day: date) -> LandedDay:
        """Read a day's files whole and check them.

        Raises BadDay when nothing has landed or a file is rejected; the message names every such file.
        """
        listed, others = self._files(day)
        if not listed:
            raise BadDay(f"no visits have landed for {day}: no *.csv or *.csv.gz under {self.key(day)}/")
        files, problems = [], []
        for file in listed:
            try:
                files.append(_scan_file(self.source, file))
            except BadFile as error:
                problems.append(f"{file.path}: {error}")
            except OSError as error:
                problems.append(f"{file.path} cannot be read: {error.strerror}")
        if problems:
            raise BadDay("\n".join(problems))
        return LandedDay(day, tuple(files), tuple(others))

    def scan_all(self, days: Sequence[date]) -> Iterator[tuple[date, LandedDay | BadDay]]:
        """`scan` for many days, some at a time, in the order given; a bad day comes as its error."""

        def attempt(day: date) -> LandedDay | BadDay:
            try:
                return self.scan(day)
            except BadDay as error:
                return error

        with ThreadPoolExecutor(max_workers=4) as pool:
            yield from zip(days, pool.map(attempt, days), strict=True)

    def _files(self, day: date) -> tuple[list[Listed], list[str]]:
        """The day's files of visits, by name, and the names of others."""
        listed = sorted(self.source.files(f"{_folder(day)}/"), key=_name)
        visits = [file for file in listed if _day_of(file) and _holds_visits(file)]
        return visits, [_name(file) for file in listed if file not in visits]


def fingerprint(files: Iterable[tuple[str, str]]) -> str:
    """A digest of (name, content digest) pairs, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()[:16]


def _folder(day: date) -> str:
    return f"{DATASET}/{DAY_PREFIX}{day}"


def _name(file: Listed) -> str:
    """The file's name in its day's folder."""
    return file.name.split("/", 2)[-1]


def _holds_visits(file: Listed) -> bool:
    name = _name(file)
    return name.endswith((".csv", ".csv.gz")) and not name.startswith(".")


def _day_of(file: Listed) -> date | None:
    """The day whose folder the file is in, not deeper."""
    dataset, _, rest = file.name.partition("/")
    folder, _, name = rest.partition("/")
    value = folder.removeprefix(DAY_PREFIX)
    if dataset != DATASET or not name or "/" in name or value == folder or len(value) != len("YYYY-MM-DD"):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


@contextmanager
def opened(source: Source, path: str) -> Iterator[tuple[IO[bytes], Stream]]:
    """A landed file's CSV bytes, decompressed by its name, and the stream that knows what was read of it.

    Raises BadFile when the compression is broken, OSError when it cannot be read.
    """
    with source.open(path) as stream:
        buffered = io.BufferedReader(stream, 1 << 18)
        try:
            if path.endswith(".gz"):
                with gzip.open(buffered, "rb") as plain:
                    yield cast(IO[bytes], plain), stream
            else:
                yield buffered, stream
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadFile(f"is a broken gzip ({error})") from error


def _scan_file(source: Source, file: Listed) -> LandedFile:
    with opened(source, file.path) as (lines, stream):
        records = count_records(lines)
        stream.drain()
        size, digest = stream.size, stream.content_id()
    if records < 0:
        raise BadFile("is empty, not even a header (expected a header row and one row per visit)")
    with opened(source, file.path) as (lines, _):
        first = next(read_rows(lines))
    if first.fields is None:
        raise BadFile("has a header row whose quoting is broken (text after a closing quote, or a stray return)")
    contract_columns(first.fields)
    header = tuple(printable(name) for name in first.fields)
    return LandedFile(_name(file), file.path, size, digest, records, header)
