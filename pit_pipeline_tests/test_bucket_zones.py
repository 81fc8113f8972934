"""Publishing in a bucket, one request at a time: killed before, within and after it, asleep, or two at once."""

import json
import os
import signal
import threading
from collections.abc import Sequence

import pytest

from pit_pipeline.leases import StageLost
from pit_pipeline.tables import PARTITION
from pit_pipeline_tests.s3_server import S3Server
from pit_pipeline_tests.test_zones import (
    DAY,
    LEASE_SECONDS,
    NEIGHBOUR,
    TABLE,
    Killed,
    Place,
    seen_while_two_write,
    write,
)

FOLDER = f"{TABLE.name}/{PARTITION}={DAY}"
MANIFEST = f"_manifests/{TABLE.name}/{PARTITION}={DAY}.json"


@pytest.fixture
def place(s3_server: S3Server) -> Place:
    return Place(s3_server.new_bucket(), s3_server)


def server_of(place: Place) -> S3Server:
    assert place.server is not None
    return place.server


def day_keys(place: Place) -> list[str]:
    return [key for key in place.stored() if key.startswith(f"{FOLDER}/")]


def assert_nothing_left_over(place: Place) -> None:
    """A larger day and its manifest, or a day of one object; nothing else, no upload, no stage."""
    stored, keys = place.stored(), day_keys(place)
    if stored == [f"{FOLDER}/part-00000.parquet"]:
        return
    assert stored == [MANIFEST, *keys]
    found = server_of(place).access.client().get_object(Bucket=place.uri.removeprefix("s3a://"), Key=MANIFEST)
    assert json.load(found["Body"])["objects"] == keys


ONE = [1]
NEW = [2, 2, 2]


@pytest.mark.parametrize(
    ("held", "answered", "expected"),
    [
        pytest.param(r"POST .*/_staging/.*\?uploadId=", False, ONE, id="while it writes, an upload under way"),
        pytest.param(rf"PUT .*/{FOLDER}/part-00000", False, ONE, id="before the commit"),
        pytest.param(rf"PUT .*/{FOLDER}/part-00000", True, NEW, id="committed, but not yet told so"),
        pytest.param(r"POST .*\?delete", False, NEW, id="after the commit, before it has tidied up"),
    ],
)
def test_a_day_of_one_object_is_old_or_new_whenever_its_run_is_killed(
    place: Place, held: str, answered: bool, expected: Sequence[int]
) -> None:
    place.publish(DAY, ONE)
    with server_of(place).hold(held, answered=answered) as request, Killed(place):
        request.wait()
        # A sweep while it lives takes nothing from it.
        assert place.zone.sweep(TABLE) == []
        request.drop()
    assert place.rows(DAY) == expected
    # A reader that only lists sees the same.
    assert day_keys(place) == [f"{FOLDER}/part-00000.parquet"]
    place.publish(DAY, [3])
    assert place.rows(DAY) == [3]
    place.assert_clean(DAY)


@pytest.mark.parametrize(
    ("held", "answered", "expected", "files_after"),
    [
        pytest.param(rf"PUT .*/{FOLDER}/part-.*-00002", False, [1, 1], 1, id="while it copies"),
        pytest.param(rf"PUT .*/{MANIFEST}", False, [1, 1], 2, id="before the commit"),
        pytest.param(rf"PUT .*/{MANIFEST}", True, NEW, 1, id="committed, but not yet told so"),
        pytest.param(r"POST .*\?delete", False, NEW, 2, id="before the old objects go"),
    ],
)
def test_a_larger_day_is_never_a_mix_whenever_its_run_is_killed(
    place: Place, held: str, answered: bool, expected: Sequence[int], files_after: int
) -> None:
    place.publish(DAY, [1, 1], files=2)
    with server_of(place).hold(held, answered=answered) as request, Killed(place, files=3):
        request.wait()
        request.drop()
    assert place.rows(DAY) == expected
    # A reader that only lists sees old and new, until the next run of the day.
    assert len(day_keys(place)) > 2
    place.publish(DAY, [3, 3], files=files_after)
    assert place.rows(DAY) == [3, 3]
    assert len(day_keys(place)) == files_after
    assert_nothing_left_over(place)


def test_a_first_larger_day_that_was_killed_is_no_day_and_leaves_nothing_behind(place: Place) -> None:
    with server_of(place).hold(rf"PUT .*/{MANIFEST}") as request, Killed(place, files=2):
        request.wait()
        request.drop()
    assert place.zone.published(TABLE) == {}
    assert len(day_keys(place)) == 2
    place.publish(DAY, [3])
    assert place.rows(DAY) == [3]
    assert_nothing_left_over(place)


@pytest.mark.parametrize("files", [1, 2])
def test_a_run_that_was_asleep_while_it_was_taken_for_dead_publishes_nothing(place: Place, files: int) -> None:
    place.publish(DAY, [1, 1], files=2)
    with server_of(place).hold(rf"PUT .*/{MANIFEST}") as request, Killed(place, files=files) as run:
        request.wait()
        os.kill(run.process.pid, signal.SIGSTOP)
        threading.Event().wait(LEASE_SECONDS + 1.5)
        place.publish(DAY, [3, 3], files=2)
        os.kill(run.process.pid, signal.SIGCONT)
        request.release()
        assert run.process.wait(60) != 0
    assert place.rows(DAY) == [3, 3]
    place.publish(NEIGHBOUR, [4])
    assert place.rows(DAY) == [3, 3]
    assert [key for key in place.stored() if key.startswith("_staging")] == []
    assert len(day_keys(place)) == 2


def test_a_run_that_wakes_while_its_objects_are_being_collected_publishes_nothing(place: Place) -> None:
    place.publish(DAY, [1, 1], files=2)
    server, manifest = server_of(place), rf"PUT .*/{MANIFEST}"
    with server.hold(rf"PUT .*/{FOLDER}/part-.*-00001", answered=True) as copied, Killed(place, files=2) as run:
        copied.wait()
        os.kill(run.process.pid, signal.SIGSTOP)
        threading.Event().wait(LEASE_SECONDS + 1.5)
        other = threading.Thread(target=place.publish, args=(DAY, [3, 3], 2))
        with server.hold(manifest, answered=True) as published:
            other.start()
            published.wait()
            with server.hold(manifest, answered=True) as collecting:
                published.release()
                collecting.wait()
                # The sleeper finds the other's manifest, and its own objects still there.
                os.kill(run.process.pid, signal.SIGCONT)
                copied.release()
                assert run.process.wait(60) != 0
        other.join()
    assert place.rows(DAY) == [3, 3]
    assert_nothing_left_over(place)


def test_a_run_whose_stage_was_swept_says_so(place: Place) -> None:
    with place.zone.stage(TABLE) as stage:
        write(stage, DAY, [1])
        (lease,) = [key for key in place.stored() if key.endswith("_lease")]
        server_of(place).access.client().delete_object(Bucket=place.uri.removeprefix("s3a://"), Key=lease)
        assert len(place.zone.sweep(TABLE)) == 1
        with pytest.raises(StageLost, match=r"_staging/daily_metrics/.* was swept"):
            stage.publish(DAY)
    assert place.zone.published(TABLE) == {}


def test_a_renewal_of_which_no_answer_was_heard_is_no_loss(place: Place) -> None:
    with place.zone.stage(TABLE) as stage:
        write(stage, DAY, [1])
        with server_of(place).hold(r"PUT .*/_lease", answered=True) as request:
            request.wait()
            request.drop()
        threading.Event().wait(LEASE_SECONDS + 1.5)
        assert place.zone.sweep(TABLE) == []
        stage.publish(DAY)
    place.assert_clean(DAY)


@pytest.mark.parametrize("files", [(2, 2), (1, 2)])
def test_two_runs_of_a_larger_day_at_once_end_with_the_rows_of_one_and_readers_see_no_mix(
    place: Place, files: tuple[int, int]
) -> None:
    seen = seen_while_two_write(place, files, rounds=4)
    assert all(len(values) == 1 for values in seen)
    assert len(seen) > 2
    assert set(place.rows(DAY)) in ({1}, {2})
    assert_nothing_left_over(place)


def test_a_day_made_larger_by_another_run_in_the_same_moment_ends_as_one(place: Place) -> None:
    zone = place.zone
    with zone.stage(TABLE) as stage, server_of(place).hold(rf"PUT .*/{FOLDER}/part-00000") as request:
        write(stage, DAY, [1])
        publishing = threading.Thread(target=stage.publish, args=(DAY,))
        publishing.start()
        request.wait()
        place.publish(DAY, [2, 2], files=2)
        request.release()
        publishing.join()
    assert place.rows(DAY) == [1]
    assert len(day_keys(place)) == 1
    assert_nothing_left_over(place)
