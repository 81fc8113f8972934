"""The landing zone: which files have landed for which day, and whether they can be read.

Here: listing, reading whole files once to check them (header, gzip, quotes), counting their records and
fingerprinting their content. It is read, never written. Not here: the rows of a file (`records`), types and
rules of values (`transforms.visits`), what is done about a change (`automation`).
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
from pathlib import Path
from typing import IO, BinaryIO, cast

from pit_pipeline.records import BadFile, contract_columns, count_records, printable, read_rows

DATASET = "visits"
DAY_PREFIX = "visit_date="


@dataclass(frozen=True)
class LandedFile:
    """A file as it was when it was read whole.

    size: bytes on disk; digest: SHA-256 of those bytes; records: data rows, malformed ones included;
    header: the file's own column names.
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


@dataclass(frozen=True)
class FileState:
    """What a listing says of a file: enough to see that it changed, without reading it.

    changed_at: seconds since the epoch; version: changes with every rewrite, also within one second or with the
    time stamp put back.
    """

    name: str
    changed_at: float
    version: str


class BadDay(Exception):
    """A day that cannot be made; the message names the key or file and says what is wrong with it."""


class Landing:
    """A landing zone in a folder: `<root>/visits/visit_date=YYYY-MM-DD/*.csv` or `*.csv.gz`."""

    def __init__(self, root: str) -> None:
        self._root = Path(root) / DATASET

    def key(self, day: date) -> str:
        """The folder of a day's files."""
        return str(self._root / f"{DAY_PREFIX}{day}")

    def days(self) -> list[date]:
        """The days for which a folder with at least one file of visits exists, in order."""
        return sorted(self.listing())

    def listing(self) -> dict[date, list[FileState]]:
        """The files of every day that has any, without reading them."""
        if not self._root.is_dir():
            return {}
        found: dict[date, list[FileState]] = {}
        for folder in self._root.iterdir():
            day = _day_of(folder.name)
            if day and (states := [_state(path) for path in self._visit_files(folder)]):
                found[day] = states
        return found

    def fingerprint(self, day: date) -> str | None:
        """The fingerprint that the day's files have now, or None without files; checks nothing else."""
        paths = self._visit_files(Path(self.key(day)))
        return fingerprint((path.name, _digest(path)) for path in paths) if paths else None

    def scan(self, day: date) -> LandedDay:
        """Read a day's files whole and check them.

        Raises BadDay when nothing has landed or a file is rejected; the message names every such file.
        """
        folder = Path(self.key(day))
        paths = self._visit_files(folder)
        if not paths:
            raise BadDay(f"no visits have landed for {day}: no *.csv or *.csv.gz under {folder}/")
        names = {path.name for path in paths}
        others = sorted(path.name for path in folder.iterdir() if path.name not in names)
        files, problems = [], []
        for path in paths:
            try:
                files.append(_scan_file(path))
            except BadFile as error:
                problems.append(f"{path}: {error}")
            except OSError as error:
                problems.append(f"{path} cannot be read: {error.strerror}")
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

    @staticmethod
    def _visit_files(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.endswith((".csv", ".csv.gz")) and not path.name.startswith(".") and path.is_file()
        )


def fingerprint(files: Iterable[tuple[str, str]]) -> str:
    """A digest of (name, content digest) pairs, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()[:16]


def _day_of(folder: str) -> date | None:
    value = folder.removeprefix(DAY_PREFIX)
    if value == folder or len(value) != len("YYYY-MM-DD"):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _state(path: Path) -> FileState:
    stat = path.stat()
    # The change time and the inode also tell of a rewrite that put size and modification time back.
    version = f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"
    return FileState(path.name, stat.st_ctime, version)


def _digest(path: Path) -> str:
    with path.open("rb") as raw:
        stream = _Hashing(raw)
        stream.drain()
    return stream.digest()


class _Hashing(io.RawIOBase):
    """A stream that hashes what passes through it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._hash.update(buffer[:count])
        self.size += count
        return int(count)

    def drain(self) -> None:
        buffer = bytearray(1 << 20)
        while self.readinto(memoryview(buffer)):
            pass

    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def opened(path: str) -> Iterator[tuple[IO[bytes], _Hashing]]:
    """A landed file's CSV bytes, decompressed by its name, and the stream that hashes what was read of it.

    Raises BadFile when the compression is broken.
    """
    with open(path, "rb", buffering=0) as raw:
        hashing = _Hashing(raw)
        buffered = io.BufferedReader(hashing, 1 << 18)
        try:
            if path.endswith(".gz"):
                with gzip.open(buffered, "rb") as plain:
                    yield cast(IO[bytes], plain), hashing
            else:
                yield buffered, hashing
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadFile(f"is a broken gzip ({error})") from error
        hashing.drain()


def _scan_file(path: Path) -> LandedFile:
    with opened(str(path)) as (lines, hashing):
        records = count_records(lines)
    if records < 0:
        raise BadFile("is empty, not even a header (expected a header row and one row per visit)")
    with opened(str(path)) as (stream, _):
        first = next(read_rows(stream))
    if first.fields is None:
        raise BadFile("has a header row whose quoting is broken (text after a closing quote, or a stray return)")
    contract_columns(first.fields)
    header = tuple(printable(name) for name in first.fields)
    return LandedFile(path.name, str(path), hashing.size, hashing.digest(), records, header)
