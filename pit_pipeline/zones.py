"""Publishing a day of a table in a folder: old rows or new ones, never a mix, whatever is killed when.

    <zone>/<table>/visit_date=YYYY-MM-DD/part-00000.parquet     what readers see
    <zone>/<table>/_staging/<token>/visit_date=.../*.parquet    what a run has written and not yet published

A day is one file of a fixed name, so one rename replaces it. A stage is locked by the process that writes it;
the lock goes with the process, however it ends, and what is not locked is swept. Not here: Spark, Dagster, what
the rows mean.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pit_pipeline.tables import PARTITION, Table

_STAGING = "_staging"
_PUBLISHED = "part-00000.parquet"


class Zone:
    """The tables of one zone, in a folder."""

    def __init__(self, uri: str) -> None:
        self._root = Path(uri)

    def root(self, table: Table) -> Path:
        """The folder of a table."""
        return self._root / table.name

    def published(self, table: Table) -> dict[date, Path]:
        """The file of every published day, in order."""
        files = self.root(table).glob(f"{PARTITION}=*/{_PUBLISHED}")
        return dict(
            sorted((date.fromisoformat(file.parent.name.removeprefix(f"{PARTITION}=")), file) for file in files)
        )

    @contextmanager
    def stage(self, table: Table) -> Iterator["Stage"]:
        """A place to write days before they are published; gone at the end, with what was not published."""
        self.sweep(table)
        path, lock = self._locked_stage(table)
        try:
            yield Stage(table, path, self.root(table))
            shutil.rmtree(path)
        finally:
            os.close(lock)  # a stage that is left behind by an error is swept by the next run

    def sweep(self, table: Table) -> list[Path]:
        """Remove the stages of runs that are no more, never one that is being written; return what was removed."""
        removed = []
        staging = self.root(table) / _STAGING
        for stage in sorted(staging.iterdir()) if staging.is_dir() else []:
            try:
                lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:  # its run has just ended
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stage)
                removed.append(stage)
            except (BlockingIOError, FileNotFoundError):  # it is being written, or its run has just ended
                continue
            finally:
                os.close(lock)
        return removed

    def failed(self, table: Table, day: date) -> Path:
        """Where the rows of a day are kept that was not published."""
        return self._root / "_failed" / table.name / f"{PARTITION}={day}" / _PUBLISHED

    def _locked_stage(self, table: Table) -> tuple[Path, int]:
        while True:
            path = self.root(table) / _STAGING / uuid.uuid4().hex
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


class Stage:
    """What one run has written of one table: at most one file per day, under `path`."""

    def __init__(self, table: Table, path: Path, root: Path) -> None:
        self.table = table
        self.path = path
        self._root = root

    def file(self, day: date) -> Path:
        """The day's file, or an empty one made here where no row was written for it."""
        folder = self.path / f"{PARTITION}={day}"
        files = sorted(folder.glob("*.parquet"))
        if len(files) > 1:
            raise ValueError(f"{len(files)} files were written for {day} of {self.table.name}, expected one: {folder}")
        if files:
            return files[0]
        folder.mkdir(exist_ok=True)
        empty: pa.Table = self.table.arrow_schema.empty_table()
        pq.write_table(empty, folder / _PUBLISHED, compression="zstd", store_decimal_as_integer=True)
        return folder / _PUBLISHED

    def rows(self, day: date) -> int:
        """The number of rows in the day's file, as written."""
        return int(pq.read_metadata(self.file(day)).num_rows)

    def publish(self, day: date) -> Path:
        """Replace the day by what was staged for it, at once."""
        return self.keep(day, self._root / f"{PARTITION}={day}" / _PUBLISHED)

    def keep(self, day: date, target: Path) -> Path:
        """Move the day's file to `target`, at once and lastingly."""
        source = self.file(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(source)
        os.replace(source, target)
        _flush(target.parent)
        return target


def _flush(path: Path) -> None:
    """Have what was written reach the disk before it counts."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
