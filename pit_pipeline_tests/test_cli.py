"""The commands as a person runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

from pit_pipeline.landing import Landing
from pit_pipeline.samples import Samples, write_samples
from pit_pipeline.sources import FolderSource
from pit_pipeline_tests.conftest import HEADER, environment

SMALL = Samples(days=3, people=50, pits=20, visits=200)


def command(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pit_pipeline.cli", *arguments],
        env=environment(COLUMNS="200", **variables), input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_demo_on_ones_own_files_makes_the_good_days_and_lists_the_bad(tmp_path: Path) -> None:
    landing = tmp_path / "mine"
    days = write_samples(landing, SMALL)
    (landing / "visits" / f"visit_date={days[1]}" / "shop.csv").write_text(HEADER.replace(",", ";"))
    before = {path: path.stat().st_mtime_ns for path in landing.rglob("*")}
    answer = command("demo", "--landing", str(landing), PIT_WORKSPACE=str(tmp_path / "w"))
    assert answer.returncode == 1
    assert f"1 of 3 days could not be made, all others were:\n{days[1]} raw_visits: " in answer.stderr
    assert "delimiter seen: semicolon" in answer.stderr
    for day in (days[0], days[2]):
        for asset in ("raw_visits", "visits_parquet", "daily_metrics", "recommendations"):
            assert f"{asset} {day}: " in answer.stdout
    assert f"make ui LANDING={landing}" in answer.stdout
    assert str(tmp_path / "w" / "consumer") in answer.stdout
    # It is only read.
    assert {path: path.stat().st_mtime_ns for path in landing.rglob("*")} == before

    query = "SELECT visit_date, pits_visited > 100 AS busy FROM daily_metrics ORDER BY 1"
    shown = command("sql", query, PIT_WORKSPACE=str(tmp_path / "w"))
    assert shown.returncode == 0, shown.stderr
    assert [str(day) in shown.stdout for day in days] == [True, False, True]
    typed = command(
        "sql", stdin="SELECT 40 + 2\n AS answer;\nnonsense;\nSELECT 6;\n", PIT_WORKSPACE=str(tmp_path / "w")
    )
    assert typed.returncode == 0
    assert "42" in typed.stdout
    assert "6" in typed.stdout
    assert "syntax error" in typed.stderr


def test_an_empty_landing_zone_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    answer = command("demo", "--landing", str(tmp_path), PIT_WORKSPACE=str(tmp_path / "w"))
    assert answer.returncode == 1
    assert f"no visits have landed: there is no {tmp_path}/visits/visit_date=YYYY-MM-DD/*.csv" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["sql", "SELECT * FROM visit"], {}, "Table with name visit does not exist"),
        (["sql", "SELECT 1"], {"PIT_TIMEZONE": "Mars"}, "PIT_TIMEZONE='Mars'"),
        (["demo", "--landing", "/no/such/folder"], {}, "does not exist"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], message: str
) -> None:
    answer = command(*arguments, PIT_WORKSPACE=str(tmp_path), **variables)
    assert answer.returncode != 0
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_samples_are_made_at_the_size_asked_for(tmp_path: Path) -> None:
    options = ["--days", "2", "--visits", "100", "--first-day", "2023-05-06", "--malformed", "0"]
    answer = command("samples", str(tmp_path), *options)
    assert answer.returncode == 0, answer.stderr
    assert [str(day) for day in Landing(FolderSource(str(tmp_path))).days()] == ["2023-05-06", "2023-05-07"]
    for name in ("--seed", "--people", "--pits", "--unidentified", "--malformed", "--duplicates"):
        assert name in command("samples", "--help").stdout
