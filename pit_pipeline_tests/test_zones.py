"""Publishing a day, in a folder and in a bucket alike: what readers find, whoever writes and whatever is killed."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from pit_pipeline.bucket_zones import BucketZone
from pit_pipeline.s3 import S3Access, is_s3
from pit_pipeline.tables import DAILY_METRICS, PARTITION
from pit_pipeline.zones import FolderZone, Stage, Zone
from pit_pipeline_tests.conftest import many_days
from pit_pipeline_tests.s3_server import S3Server

DAY, NEIGHBOUR = date(2024, 1, 1), date(2024, 1, 2)
TABLE = DAILY_METRICS
LEASE_SECONDS = 3.0


class Place:
    """A zone that this process and others can open, and all that is stored in it."""

    def __init__(self, uri: str, server: S3Server | None = None) -> None:
        self.uri = uri
        self.server = server

    @property
    def zone(self) -> Zone:
        return open_zone(self.uri, self.server.endpoint if self.server else "")

    def publish(self, day: date, values: Sequence[int], files: int = 1) -> None:
        with self.zone.stage(TABLE) as stage:
            write(stage, day, values, files)
            stage.publish(day)

    def rows(self, day: date) -> list[int]:
        """What a reader of this pipeline finds."""
        return sorted(self.zone.published(TABLE)[day].dataset().to_table().column("people_identified").to_pylist())

    def stored(self) -> list[str]:
        """All files or keys, and uploads that have not ended."""
        if self.server:
            return self.server.keys(self.uri)
        root = Path(self.uri)
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def assert_clean(self, *days: date) -> None:
        """Nothing is stored but one file per day."""
        assert self.stored() == [f"{TABLE.name}/{PARTITION}={day}/part-00000.parquet" for day in days]


def open_zone(uri: str, endpoint: str) -> Zone:
    return BucketZone(S3Access(endpoint, "us-east-1"), uri, LEASE_SECONDS) if is_s3(uri) else FolderZone(uri)


def write(stage: Stage, day: date, values: Sequence[int], files: int = 1) -> None:
    """What Spark would write for a day: a row per value, in some files."""
    folder, filesystem = f"{stage.path}/{PARTITION}={day}", stage.filesystem()
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        filesystem.create_dir(folder)
    for number in range(files):
        columns = {
            field.name: pa.array(values[number::files], pa.int64()).cast(field.type) for field in TABLE.arrow_schema
        }
        table = pa.table(columns, schema=TABLE.arrow_schema)
        pq.write_table(table, f"{folder}/part-{number:05}-xyz.zstd.parquet", filesystem=filesystem)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path))
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.new_bucket(), server)


def test_a_day_is_replaced_as_a_whole_and_its_neighbour_left_alone(place: Place) -> None:
    place.publish(DAY, [1, 2, 3])
    place.publish(NEIGHBOUR, [9])
    place.publish(DAY, [4])
    assert place.rows(DAY) == [4]
    assert place.rows(NEIGHBOUR) == [9]
    place.assert_clean(DAY, NEIGHBOUR)


def test_a_day_without_rows_is_published_empty_and_typed(place: Place) -> None:
    place.publish(DAY, [1])
    zone = place.zone
    with zone.stage(TABLE) as stage:
        assert stage.files(DAY).rows == 0
        stage.publish(DAY)
    assert place.rows(DAY) == []
    assert zone.published(TABLE)[DAY].dataset().schema.names == TABLE.schema.names
    place.assert_clean(DAY)


def test_many_days_are_published_from_one_stage_and_listed_in_order(place: Place) -> None:
    days = [date.fromisoformat(day) for day in many_days(12)]
    with place.zone.stage(TABLE) as stage:
        for number, day in enumerate(reversed(days)):
            write(stage, day, [number])
            stage.publish(day)
    published = place.zone.published(TABLE)
    assert list(published) == days
    assert sum(files.rows for files in published.values()) == 12
    place.assert_clean(*days)


def test_a_day_of_several_files_is_one_day_and_can_become_fewer_and_more(place: Place) -> None:
    for values, files in (([1, 2, 3, 4, 5], 3), ([6, 7], 2), ([8], 1), ([9, 9, 9], 2)):
        place.publish(DAY, values, files)
        assert place.rows(DAY) == values
        stored = [key for key in place.stored() if key.startswith(f"{TABLE.name}/")]
        assert len(stored) == (files if place.server else 1)


def test_what_was_kept_of_a_failed_day_is_no_day_and_can_be_forgotten(place: Place) -> None:
    with place.zone.stage(TABLE) as stage:
        write(stage, DAY, [1, 2])
        stage.keep(DAY)
    assert place.zone.published(TABLE) == {}
    assert place.stored() == [f"_failed/{TABLE.name}/{PARTITION}={DAY}/part-00000.parquet"]
    with place.zone.stage(TABLE) as stage:
        stage.forget(DAY)
    assert place.stored() == []


def test_an_error_before_publishing_leaves_the_old_rows_and_is_swept(place: Place) -> None:
    place.publish(DAY, [1])

    def failing() -> None:
        with place.zone.stage(TABLE) as stage:
            write(stage, DAY, [2])
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        failing()
    assert place.rows(DAY) == [1]
    place.publish(NEIGHBOUR, [3])
    place.assert_clean(DAY, NEIGHBOUR)


def seen_while_two_write(place: Place, files: tuple[int, int], rounds: int) -> list[set[int]]:
    """What a reader that reads in a loop finds while two writers publish the day, each its number in so many files."""
    done = threading.Event()
    seen: list[set[int]] = []

    def read() -> None:
        while not done.is_set():
            try:
                values = place.rows(DAY)
            except OSError:
                continue  # a larger day was replaced since it was listed: a reader asks again
            assert len(values) == 10
            seen.append(set(values))

    def rewrite(writer: int) -> None:
        for _ in range(rounds):
            place.publish(DAY, [writer] * 10, files[writer - 1])

    place.publish(DAY, [0] * 10)
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=rewrite, args=(writer,)) for writer in (1, 2)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    return seen


def test_readers_meanwhile_find_the_rows_of_exactly_one_run(place: Place) -> None:
    seen = seen_while_two_write(place, (1, 1), rounds=6)
    assert all(len(values) == 1 for values in seen)
    assert len(seen) > 5
    assert set(place.rows(DAY)) in ({1}, {2})
    place.assert_clean(DAY)


class Killed:
    """A process that publishes a day, in some files; killed by SIGKILL at the end of the block.

    moment: where it stops and says so by itself, or empty if something else holds it.
    """

    SCRIPT = """
    import os, sys
    from pit_pipeline_tests.test_zones import DAY, TABLE, open_zone, write

    uri, endpoint, moment, files = sys.argv[1:]
    wait = lambda here: here == moment and (print("here", flush=True), sys.stdin.read())
    replace = os.replace
    def replaced(*paths):
        wait("before")
        replace(*paths)
        wait("after")
    os.replace = replaced
    with open_zone(uri, endpoint).stage(TABLE) as stage:
        wait("staged")
        write(stage, DAY, [2, 2, 2], int(files))
        stage.publish(DAY)
        wait("published")
    """

    def __init__(self, place: Place, moment: str = "", files: int = 1) -> None:
        endpoint = place.server.endpoint if place.server else ""
        arguments = [place.uri, endpoint, moment, str(files)]
        command = [sys.executable, "-c", textwrap.dedent(self.SCRIPT), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait(self) -> None:
        """Until it says that it is there."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "here\n"

    def __enter__(self) -> "Killed":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    ("moment", "expected"), [("staged", [1]), ("before", [1]), ("after", [2, 2, 2]), ("published", [2, 2, 2])]
)
def test_in_a_folder_a_run_killed_at_any_moment_leaves_old_rows_or_new(
    tmp_path: Path, moment: str, expected: list[int]
) -> None:
    place = Place(str(tmp_path))
    place.publish(DAY, [1])
    with Killed(place, moment) as run:
        run.wait()
        # A sweep while it lives takes nothing from it.
        assert place.zone.sweep(TABLE) == []
    assert place.rows(DAY) == expected
    assert len(list((tmp_path / "_staging" / TABLE.name).iterdir())) == 1
    place.publish(DAY, [3])
    assert place.rows(DAY) == [3]
    place.assert_clean(DAY)


def test_the_sweep_alone_removes_what_a_killed_run_left(place: Place) -> None:
    with Killed(place, "staged") as run:
        run.wait()
        assert place.zone.sweep(TABLE) == []
    if place.server:
        # Whether it is dead can be told only when its lease has run out.
        assert place.zone.sweep(TABLE) == []
        threading.Event().wait(LEASE_SECONDS + 1.5)
    (removed,) = place.zone.sweep(TABLE)
    assert removed.startswith(f"{place.uri}/_staging/{TABLE.name}/")
    assert place.stored() == []
