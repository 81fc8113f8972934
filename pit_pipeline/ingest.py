"""From landed files to a DataFrame of text rows, in one pass.

Here: spreading files over Spark tasks and what a task does with a file. Not here: how a record is told from
the next (`records`), what its values mean (`transforms.visits`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from pit_pipeline.landing import LandedDay, LandedFile, opened
from pit_pipeline.records import BadFile, Row, printable, read_rows
from pit_pipeline.sources import Source
from pit_pipeline.tables import PARTITION

#: Rows as they stand in the files. `header` is an index into `headers(days)`; `fields` is null where quoting is
#: broken. Each file ends with a row that has only `file`: what was read of it, or why it could not be read.
ROWS = pa.schema(
    [
        pa.field(PARTITION, pa.date32(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("header", pa.int32(), nullable=False),
        pa.field("fields", pa.list_(pa.string())),
        pa.field("raw", pa.string()),
        pa.field("is_utf8", pa.bool_(), nullable=False),
        pa.field("file", pa.struct([pa.field("digest", pa.string()), pa.field("error", pa.string())])),
    ]
)
_ROWS_PER_BATCH = 20_000
_BYTES_PER_TASK = 32 << 20


@dataclass(frozen=True)
class _Job:
    """A file for a task to read."""

    day: date
    name: str
    path: str
    header: int
    width: int


def headers(days: Sequence[LandedDay]) -> list[tuple[str, ...]]:
    """The distinct headers of all files, sorted."""
    return sorted({file.header for day in days for file in day.files})


def landed_rows(spark: SparkSession, source: Source, days: Sequence[LandedDay]) -> DataFrame:
    """The rows of many days' files, shape ROWS. Reading happens when the DataFrame is used."""
    index = {header: i for i, header in enumerate(headers(days))}
    tasks = _packed([(day.day, file) for day in days for file in day.files], spark.sparkContext.defaultParallelism)
    jobs = [
        [_Job(day, file.name, file.path, index[file.header], len(file.header)) for day, file in task] for task in tasks
    ]

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for job in jobs[number]:
                    yield from _batches(source, job)

    numbers = spark.range(0, len(jobs), 1, len(jobs))
    return numbers.mapInArrow(read, from_arrow_schema(ROWS))


def _packed(files: list[tuple[date, LandedFile]], cores: int) -> list[list[tuple[date, LandedFile]]]:
    """Files dealt out to tasks of about equal bytes, the largest first."""
    total = sum(file.size for _, file in files)
    count = max(1, min(len(files), max(cores, total // _BYTES_PER_TASK)))
    tasks: list[list[tuple[date, LandedFile]]] = [[] for _ in range(count)]
    for i, entry in enumerate(sorted(files, key=lambda entry: -entry[1].size)):
        lap, place = divmod(i, count)
        tasks[place if lap % 2 == 0 else -1 - place].append(entry)
    return tasks


def _batches(source: Source, job: _Job) -> Iterator[pa.RecordBatch]:
    error, digest = None, None
    try:
        with opened(source, job.path) as (lines, stream):
            rows = read_rows(lines)
            next(rows, None)  # the header
            chunk: list[Row] = []
            for row in rows:
                chunk.append(row)
                if len(chunk) == _ROWS_PER_BATCH:
                    yield _batch(job, chunk)
                    chunk = []
            if chunk:
                yield _batch(job, chunk)
            stream.drain()
            digest = stream.content_id()
    except (BadFile, OSError) as problem:
        # One unreadable file must fail its day, not the job that reads all days.
        error = str(problem)
    yield _record_batch(job, 1, [None], [None], [True], [{"digest": digest, "error": error}])


def _batch(job: _Job, rows: list[Row]) -> pa.RecordBatch:
    count = len(rows)
    fields = [row.fields if row.fields is not None and len(row.fields) == job.width else None for row in rows]
    raw = [row.raw if kept is None else None for row, kept in zip(rows, fields, strict=True)]
    try:
        return _record_batch(job, count, fields, raw, [True] * count, [None] * count)
    except UnicodeEncodeError:
        is_utf8 = [row.raw.isascii() or printable(row.raw) == row.raw for row in rows]
        fields = [None if values is None else [printable(value) for value in values] for values in fields]
        raw = [None if text is None else printable(text) for text in raw]
        return _record_batch(job, count, fields, raw, is_utf8, [None] * count)


def _record_batch(
    job: _Job,
    count: int,
    fields: Sequence[list[str] | None],
    raw: Sequence[str | None],
    is_utf8: Sequence[bool],
    file: Sequence[dict[str, str | None] | None],
) -> pa.RecordBatch:
    columns = [
        pa.repeat(pa.scalar(job.day, pa.date32()), count),
        pa.repeat(job.name, count),
        pa.repeat(pa.scalar(job.header, pa.int32()), count),
        *(
            pa.array(values, ROWS.field(name).type)
            for name, values in (("fields", fields), ("raw", raw), ("is_utf8", is_utf8), ("file", file))
        ),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROWS)
