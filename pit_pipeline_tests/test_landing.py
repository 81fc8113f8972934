"""What has landed, in a folder; `test_landing_s3` is about what is different in a bucket."""

import gzip
import os
from datetime import date
from pathlib import Path

import pytest

from pit_pipeline.landing import BadDay, Landing
from pit_pipeline.sources import FolderSource
from pit_pipeline_tests.conftest import HEADER, visit

DAY = date(2024, 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "visits" / f"visit_date={DAY}"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(FolderSource(str(tmp_path)))


def test_a_day_without_files_names_the_key_that_was_looked_for(landing: Landing, folder: Path) -> None:
    (folder / "notes.txt").write_text("no visits")
    with pytest.raises(BadDay, match=rf"no visits have landed for 2024-01-01: .*{folder}"):
        landing.scan(DAY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, not even a header"),
        (b"\n \n", "is empty, not even a header"),
        (HEADER.replace("pit,", "").encode(), r"no column for pit \(accepted: pit, pits\)"),
        (HEADER.replace("nome", "pits").encode(), "pit is named 2 times"),
        (HEADER.encode() + b'x,"y\n', "ends inside quotes that open in row 1"),
        (HEADER.replace(",", ";").encode(), "Found: nome, id, pit, .*delimiter seen: semicolon"),
        (HEADER.replace("nome", '"no"me').encode(), "has a header row whose quoting is broken"),
    ],
)
def test_a_file_that_cannot_be_read_fails_its_day_by_name(
    landing: Landing, folder: Path, content: bytes, message: str
) -> None:
    (folder / "good.csv").write_text(HEADER + visit())
    (folder / "bad.csv").write_bytes(content)
    with pytest.raises(BadDay, match=rf"{folder}/bad\.csv: .*{message}"):
        landing.scan(DAY)


def test_a_file_without_a_header_is_refused_without_showing_whose_data_it_holds(landing: Landing, folder: Path) -> None:
    (folder / "a.csv").write_text(visit("p17") * 2)
    with pytest.raises(BadDay, match="is the header row missing") as error:
        landing.scan(DAY)
    assert "Ana" not in str(error.value)
    assert "p17" not in str(error.value)


def test_a_file_that_cannot_be_opened_fails_its_day_only(
    landing: Landing, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_text(HEADER)

    def gone(_: object, file: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("pit_pipeline.landing._scan_file", gone)
    with pytest.raises(BadDay, match=r"a\.csv cannot be read: No such file"):
        landing.scan(DAY)


@pytest.mark.parametrize("cut", [10, -8, -1])
def test_a_broken_gzip_fails_its_day(landing: Landing, folder: Path, cut: int) -> None:
    (folder / "v.csv.gz").write_bytes(gzip.compress((HEADER + visit() * 100).encode())[:cut])
    with pytest.raises(BadDay, match=r"v\.csv\.gz: is a broken gzip"):
        landing.scan(DAY)


def test_what_landed_is_counted_and_other_names_are_listed(landing: Landing, folder: Path) -> None:
    (folder / "b.csv.gz").write_bytes(gzip.compress((HEADER + visit() * 3).encode()))
    (folder / "a.csv").write_text(HEADER)
    (folder / "a.csv.part").write_text("half")
    (folder / ".hidden.csv").write_text("half")
    landed = landing.scan(DAY)
    assert [(file.name, file.records) for file in landed.files] == [("a.csv", 0), ("b.csv.gz", 3)]
    assert landed.ignored == (".hidden.csv", "a.csv.part")
    assert landed.size == sum((folder / name).stat().st_size for name in ("a.csv", "b.csv.gz"))


def test_the_fingerprint_follows_content_and_names_and_nothing_else(landing: Landing, folder: Path) -> None:
    file = folder / "a.csv"
    file.write_text(HEADER + visit())
    first = landing.scan(DAY).fingerprint
    assert landing.fingerprint(DAY) == first
    os.utime(file, (1, 1))
    assert landing.scan(DAY).fingerprint == first
    file.write_text(HEADER + visit(pit="b"))
    assert landing.scan(DAY).fingerprint != first
    file.write_text(HEADER + visit())
    assert landing.scan(DAY).fingerprint == first
    file.rename(folder / "b.csv")
    assert landing.scan(DAY).fingerprint != first


def test_a_rewrite_with_size_and_time_put_back_is_another_version(landing: Landing, folder: Path) -> None:
    file = folder / "a.csv"
    file.write_text(HEADER + visit(pit="a"))
    stat = file.stat()
    before = landing.listing()[DAY]
    file.write_text(HEADER + visit(pit="b"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_mtime_ns == stat.st_mtime_ns
    assert file.stat().st_size == stat.st_size
    assert landing.listing()[DAY] != before


def test_folders_that_are_no_days_are_passed_over(landing: Landing, folder: Path) -> None:
    (folder / "a.csv").write_text(HEADER)
    for name in ("visit_date=2024-13-01", "visit_date=20240102", "other=2024-01-02", "visit_date=2024-01-03"):
        other = folder.parent / name
        other.mkdir()
        if name != "visit_date=2024-01-03":
            (other / "a.csv").write_text(HEADER)
    assert landing.days() == [DAY]
