"""Publishing a day of a table: old rows or new ones, never a mix, whatever is killed when.

    <zone>/<table>/visit_date=YYYY-MM-DD/part-00000.parquet     what readers see
    <zone>/_staging/<table>/<token>/visit_date=.../*.parquet    what a run has written and not yet published
    <zone>/_failed/<table>/visit_date=.../*.parquet             rows of days that were not published

Here: what a zone and a stage are, and the zone in a folder, where a day is one file of a fixed name, so that one
rename replaces it. A stage is locked by the process that writes it; the lock goes with the process, however it ends,
and what is not locked is swept. Not here: the zone in a bucket (`bucket_zones`), Spark, Dagster, what the rows mean.
"""

import fcntl
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pit_pipeline.tables import PARTITION, Table

if TYPE_CHECKING:
    import pyarrow.dataset as ds

STAGING, FAILED = "_staging", "_failed"
ONE_FILE = "part-00000.parquet"


@dataclass(frozen=True)
class DayFiles:
    """The Parquet files that are a day of a table.

    paths: pyarrow's names of them; uris: Spark's; size: bytes of them all, as listed; filesystem: gives pyarrow's file
    system, with credentials of now.
    """

    paths: tuple[str, ...]
    uris: tuple[str, ...]
    size: int
    filesystem: Callable[[], pyarrow.fs.FileSystem]

    def dataset(self) -> "ds.Dataset":
        """The day's rows, without the partition column."""
        import pyarrow.dataset as ds  # brings pandas, for which nobody waits who only loads definitions

        return ds.dataset(list(self.paths), filesystem=self.filesystem(), format="parquet", partitioning=None)

    @property
    def rows(self) -> int:
        """The number of rows, as the files' footers say."""
        return int(self.dataset().count_rows())


class Stage(ABC):
    """What one run has written of one table: files below `path` (pyarrow's) or `uri` (Spark's)."""

    def __init__(self, table: Table, path: str, uri: str, filesystem: Callable[[], pyarrow.fs.FileSystem]) -> None:
        self.table = table
        self.path = path
        self.uri = uri
        self.filesystem = filesystem

    def files(self, day: date) -> DayFiles:
        """The day's files, or an empty one made here where no row was written for it."""
        folder = f"{self.path}/{PARTITION}={day}"
        filesystem = self.filesystem()
        listed = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True))
        found = sorted((info.path, info.size) for info in listed if info.path.endswith(".parquet"))
        if not found:
            path = f"{folder}/{ONE_FILE}"
            if isinstance(filesystem, pyarrow.fs.LocalFileSystem):  # in a bucket there are no folders to make
                filesystem.create_dir(folder)
            empty: pa.Table = self.table.arrow_schema.empty_table()
            pq.write_table(empty, path, filesystem=filesystem, **WRITING)
            found = [(path, filesystem.get_file_info(path).size)]
        paths = tuple(path for path, _ in found)
        uris = tuple(self.uri + path.removeprefix(self.path) for path in paths)
        return DayFiles(paths, uris, sum(size for _, size in found), self.filesystem)

    @abstractmethod
    def publish(self, day: date) -> DayFiles:
        """Replace the day by what was staged for it, as a whole."""

    @abstractmethod
    def kept(self, day: date) -> str:
        """Where `keep` keeps a day, as Spark names it."""

    @abstractmethod
    def keep(self, day: date) -> None:
        """Put what was staged for a day that is not published where it can be looked at."""

    @abstractmethod
    def forget(self, day: date) -> None:
        """Remove what was kept of a day, by this run or another."""


class Zone(ABC):
    """The tables of one zone."""

    @abstractmethod
    def root(self, table: Table) -> str:
        """Where a table lives, as Spark names it."""

    @abstractmethod
    def published(self, table: Table) -> dict[date, DayFiles]:
        """The files of every published day, in order: what was published last, and nothing else."""

    @abstractmethod
    def stage(self, table: Table) -> AbstractContextManager[Stage]:
        """A place to write days before they are published; gone at the end, with what was not published."""

    @abstractmethod
    def sweep(self, table: Table) -> list[str]:
        """Remove what runs that are no more have left, never what one is writing; return the stages removed."""


#: How Parquet is written where Spark does not write it.
WRITING = {"compression": "zstd", "store_decimal_as_integer": True}


class FolderZone(Zone):
    """The tables of one zone, in a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def root(self, table: Table) -> str:
        """The folder of a table."""
        return str(self.folder / table.name)

    def published(self, table: Table) -> dict[date, DayFiles]:
        """The file of every published day, in order."""
        files = (self.folder / table.name).glob(f"{PARTITION}=*/{ONE_FILE}")
        days = sorted((date.fromisoformat(file.parent.name.removeprefix(f"{PARTITION}=")), file) for file in files)
        return {day: _one_file(file) for day, file in days}

    @contextmanager
    def stage(self, table: Table) -> Iterator["FolderStage"]:
        """A folder that is locked while this process lives."""
        self.sweep(table)
        path, lock = self._locked_stage(table)
        try:
            yield FolderStage(table, path, self.folder)
            shutil.rmtree(path)
        finally:
            os.close(lock)  # a stage that is left behind by an error is swept by the next run

    def sweep(self, table: Table) -> list[str]:
        """Remove the stages that no process has locked."""
        removed = []
        staging = self.folder / STAGING / table.name
        for stage in sorted(staging.iterdir()) if staging.is_dir() else []:
            try:
                lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:  # its run has just ended
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stage)
                removed.append(str(stage))
            except (BlockingIOError, FileNotFoundError):  # it is being written, or its run has just ended
                continue
            finally:
                os.close(lock)
        return removed

    def _locked_stage(self, table: Table) -> tuple[Path, int]:
        while True:
            path = self.folder / STAGING / table.name / uuid.uuid4().hex
            path.mkdir(parents=True)
            # Another run's sweep may come between the making and the locking.
            try:
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.is_dir():
                return path, lock
            os.close(lock)


class FolderStage(Stage):
    """A stage in a folder, on the same file system as the zone."""

    def __init__(self, table: Table, path: Path, zone: Path) -> None:
        super().__init__(table, str(path), str(path), pyarrow.fs.LocalFileSystem)
        self._zone = zone

    def publish(self, day: date) -> DayFiles:
        """Replace the day's file by one rename."""
        return _one_file(self._moved(day, self._zone / self.table.name / f"{PARTITION}={day}" / ONE_FILE))

    def kept(self, day: date) -> str:
        """A file below `_failed`."""
        return str(self._zone / FAILED / self.table.name / f"{PARTITION}={day}" / ONE_FILE)

    def keep(self, day: date) -> None:
        """Move the day's file there."""
        self._moved(day, Path(self.kept(day)))

    def forget(self, day: date) -> None:
        """Remove that file."""
        Path(self.kept(day)).unlink(missing_ok=True)

    def _moved(self, day: date, target: Path) -> Path:
        source = self._as_one_file(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(source)
        os.replace(source, target)
        _flush(target.parent)
        return target

    def _as_one_file(self, day: date) -> Path:
        """The day's file; several, of a large day, are written into one, since only one can be replaced at once."""
        files = self.files(day)
        if len(files.paths) == 1:
            return Path(files.paths[0])
        whole = Path(self.path) / f"{day}.parquet"
        rows = files.dataset()
        with pq.ParquetWriter(whole, rows.schema, **WRITING) as writer:
            for batch in rows.to_batches():
                writer.write_batch(batch)
        return whole


def _one_file(path: Path) -> DayFiles:
    return DayFiles((str(path),), (str(path),), path.stat().st_size, pyarrow.fs.LocalFileSystem)


def _flush(path: Path) -> None:
    """Have what was written reach the disk before it counts."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
