"""The same days with the zones in folders and in S3: time, CPU, memory, requests; and whether the rows are the same.

    python -m benchmarks.s3_zones path/to/versitygw [--days 30] [--visits 2000]

Lands the same made-up visits in a folder and in a bucket of a versitygw on this machine, makes all days in one run
each, in a process of its own, compares all tables row for row (exits 1 if any differ) and prints figures side by
side. The server's own work is not counted; it takes its share of the machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pit_pipeline.catalog import EmbeddedCatalog
from pit_pipeline.deployment import parquet_tables
from pit_pipeline.samples import Samples, write_samples
from pit_pipeline.settings import Settings
from pit_pipeline.tables import TABLES
from pit_pipeline_tests import s3_server
from pit_pipeline_tests.conftest import JARS

RUN = """
import sys
from datetime import date
from pit_pipeline import local
from pit_pipeline.settings import Settings
sys.exit(local.materialize(Settings.from_environment(), [date.fromisoformat(day) for day in sys.argv[1:]]))
"""


@dataclass
class Cost:
    """What a run took: seconds on the clock and of CPU, and the most resident memory of all its processes, in GB."""

    wall: float = 0
    cpu: float = 0
    memory: float = 0


def measured(environment: Mapping[str, str], days: list[date]) -> Cost:
    """Make the days in a process of its own, its JVM and workers counted in."""
    cost, started = Cost(), time.monotonic()
    command = [sys.executable, "-W", "ignore", "-c", RUN, *map(str, days)]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    ended = threading.Event()

    def watch() -> None:
        spent: dict[int, float] = {}
        while not ended.wait(0.2):
            group = _group(run.pid)
            spent.update({pid: cpu for pid, (cpu, _) in group.items()})
            cost.cpu = sum(spent.values())
            cost.memory = max(cost.memory, sum(memory for _, memory in group.values()))

    watching = threading.Thread(target=watch)
    watching.start()
    failed = run.wait()
    ended.set()
    watching.join()
    if failed:
        raise SystemExit("the run failed; see above")
    cost.wall = time.monotonic() - started
    return cost


def _group(leader: int) -> dict[int, tuple[float, float]]:
    """CPU seconds and resident GB of every process of a session."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                found[int(entry.name)] = (cpu, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e9)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


def landed_in(server: s3_server.S3Server, landing: Path) -> dict[str, str]:
    """The settings of a deployment in new buckets, with the landed files in one of them."""
    zones = server.zones()
    bucket = zones["landing_uri"].removeprefix("s3a://")
    for path in landing.rglob("*.csv*"):
        server.access.client().upload_file(str(path), bucket, path.relative_to(landing).as_posix())
    return zones


def main() -> None:
    """Run both, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versitygw", help="the server's program; `make benchmark-s3` builds it")
    parser.add_argument("--days", type=int, default=30, help="(default: 30)")
    parser.add_argument("--visits", type=int, default=2000, help="visits on an average day (default: 2000)")
    options = parser.parse_args()
    days = [Samples.first_day + timedelta(days=i) for i in range(options.days)]
    os.environ |= {"AWS_ACCESS_KEY_ID": s3_server.KEY_ID, "AWS_SECRET_ACCESS_KEY": s3_server.SECRET}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_samples(root / "landing", Samples(days=options.days, visits=options.visits))
        server = s3_server.start(options.versitygw, root)
        places: dict[str, dict[str, object]] = {
            "folders": {"landing_uri": str(root / "landing")},
            "S3": {
                **landed_in(server, root / "landing"),
                "spark_conf": {"spark.driver.extraClassPath": f"{JARS}/*"},
            },
        }
        costs, rows = {}, {}
        for place, values in places.items():
            settings = Settings.model_validate({"workspace": root / place, "first_day": days[0], **values})
            before = len(server.requests)
            costs[place] = measured({**os.environ, **settings.environment()}, days)
            requests = len(server.requests) - before
            catalog = EmbeddedCatalog(parquet_tables(settings))
            answers = [catalog.query(f"SELECT * FROM {table.name} ORDER BY ALL") for table in TABLES]
            rows[place] = [answer.rows for answer in answers if answer]
        server.close()
    local, s3 = costs["folders"], costs["S3"]
    print(
        f"{options.days} days, {sum(map(len, rows['S3'])):,} rows in {len(TABLES)} tables, {requests:,} requests to S3"
    )
    print(f"{'':20}{'folders':>10}{'S3':>10}{'ratio':>8}")
    for name, a, b in (
        ("wall seconds", local.wall, s3.wall),
        ("CPU seconds", local.cpu, s3.cpu),
        ("peak memory, GB", local.memory, s3.memory),
    ):
        print(f"{name:20}{a:>10.1f}{b:>10.1f}{b / a:>8.2f}")
    same = rows["folders"] == rows["S3"]
    print("The rows are the same." if same else "The rows DIFFER.")
    sys.exit(not same)


if __name__ == "__main__":
    main()
