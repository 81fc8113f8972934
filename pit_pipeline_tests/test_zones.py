"""Publishing a day, and what is left when a run is killed at any moment."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pit_pipeline.tables import DAILY_METRICS, PARTITION
from pit_pipeline.zones import Stage, Zone

DAY, NEIGHBOUR = date(2024, 1, 1), date(2024, 1, 2)
TABLE = DAILY_METRICS


def write(stage: Stage, day: date, values: Sequence[int]) -> None:
    """What Spark would write for a day: a row per value."""
    folder = stage.path / f"{PARTITION}={day}"
    folder.mkdir()
    columns = {"people_identified": pa.array(values, pa.int64())}
    pq.write_table(pa.table(columns), folder / "part-xyz.snappy.parquet")


def publish(root: Path, day: date, values: Sequence[int]) -> None:
    zone = Zone(str(root))
    with zone.stage(TABLE) as stage:
        write(stage, day, values)
        stage.publish(day)


def rows(root: Path, day: date) -> list[int]:
    file = Zone(str(root)).published(TABLE)[day]
    return list(pq.read_table(file, partitioning=None).column("people_identified").to_pylist())


def all_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_day_is_replaced_as_a_whole_and_its_neighbour_left_alone(tmp_path: Path) -> None:
    publish(tmp_path, DAY, [1, 2, 3])
    publish(tmp_path, NEIGHBOUR, [9])
    publish(tmp_path, DAY, [4])
    assert rows(tmp_path, DAY) == [4]
    assert rows(tmp_path, NEIGHBOUR) == [9]
    assert all_files(tmp_path) == [f"{TABLE.name}/{PARTITION}={day}/part-00000.parquet" for day in (DAY, NEIGHBOUR)]


def test_a_day_without_rows_is_published_empty_and_typed(tmp_path: Path) -> None:
    publish(tmp_path, DAY, [1])
    zone = Zone(str(tmp_path))
    with zone.stage(TABLE) as stage:
        assert stage.rows(DAY) == 0
        stage.publish(DAY)
    assert rows(tmp_path, DAY) == []
    assert pq.read_schema(zone.published(TABLE)[DAY]).names == TABLE.schema.names


def test_an_error_before_publishing_leaves_the_old_rows(tmp_path: Path) -> None:
    publish(tmp_path, DAY, [1])

    def failing() -> None:
        with Zone(str(tmp_path)).stage(TABLE) as stage:
            write(stage, DAY, [2])
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        failing()
    assert rows(tmp_path, DAY) == [1]
    publish(tmp_path, NEIGHBOUR, [3])
    assert not list((tmp_path / TABLE.name / "_staging").iterdir())


KILLED = """
import os, sys
from pathlib import Path
from pit_pipeline import zones
from pit_pipeline_tests.test_zones import DAY, TABLE, write

moment, root = sys.argv[1:]
wait = lambda *_: (print("here", flush=True), sys.stdin.read())
replace = os.replace
def replaced(*paths):
    if moment == "before": wait()
    replace(*paths)
    if moment == "after": wait()
os.replace = replaced
with zones.Zone(root).stage(TABLE) as stage:
    if moment == "writing": wait()
    write(stage, DAY, [2, 2])
    stage.publish(DAY)
"""


@pytest.mark.parametrize(("moment", "expected"), [("writing", [1]), ("before", [1]), ("after", [2, 2])])
def test_a_run_killed_at_any_moment_leaves_old_rows_or_new(tmp_path: Path, moment: str, expected: list[int]) -> None:
    publish(tmp_path, DAY, [1])
    command = [sys.executable, "-c", textwrap.dedent(KILLED), moment, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        # A sweep while it lives takes nothing from it.
        assert Zone(str(tmp_path)).sweep(TABLE) == []
        os.kill(process.pid, signal.SIGKILL)
    assert rows(tmp_path, DAY) == expected
    assert len(list((tmp_path / TABLE.name / "_staging").iterdir())) == 1
    publish(tmp_path, DAY, [3])
    assert rows(tmp_path, DAY) == [3]
    assert all_files(tmp_path) == [f"{TABLE.name}/{PARTITION}={DAY}/part-00000.parquet"]


def test_readers_meanwhile_find_the_rows_of_exactly_one_run(tmp_path: Path) -> None:
    publish(tmp_path, DAY, [0] * 1000)
    done = threading.Event()
    seen: list[set[int]] = []

    def read() -> None:
        while not done.is_set():
            values = rows(tmp_path, DAY)
            assert len(values) == 1000
            seen.append(set(values))

    def rewrite(writer: int) -> None:
        for _ in range(25):
            publish(tmp_path, DAY, [writer] * 1000)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=rewrite, args=(writer,)) for writer in (1, 2)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert all(len(values) == 1 for values in seen)
    assert len(seen) > 10
    assert set(rows(tmp_path, DAY)) <= {1, 2}
    assert all_files(tmp_path) == [f"{TABLE.name}/{PARTITION}={DAY}/part-00000.parquet"]
