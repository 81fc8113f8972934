"""What one range saves over one run per day: CPU seconds per day, whole processes, JVM and workers included.

    python benchmarks/range_backfill.py [--days 30] [--single 3] [--visits 2000]

Lands made-up visits, makes all days as one range in one process, then `--single` of them as one process per day (as
a daily job would), each into a workspace of its own, and prints the ratio.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from pit_pipeline.samples import Samples, write_samples

RUN = """
import sys
from datetime import date
from pit_pipeline import local
from pit_pipeline.settings import Settings
from pyspark import SparkContext
failure = local.materialize(Settings.from_environment(), [date.fromisoformat(day) for day in sys.argv[1:]])
# The JVM's time counts once it has been waited for.
gateway = SparkContext._gateway
SparkContext.getOrCreate().stop()
gateway.shutdown()
gateway.proc.stdin.close()
gateway.proc.wait()
sys.exit(failure)
"""


def cpu_seconds(workspace: Path, landing: Path, days: list[date]) -> float:
    """CPU seconds, user and system, of one process that makes these days, with all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PIT_WORKSPACE": str(workspace), "PIT_LANDING_URI": str(landing)}
    command = [sys.executable, "-W", "ignore", "-c", RUN, *map(str, days)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30, help="days of the range (default: 30)")
    parser.add_argument("--single", type=int, default=3, help="how many of them also one by one (default: 3)")
    parser.add_argument("--visits", type=int, default=2000, help="visits on an average day (default: 2000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_samples(root / "landing", Samples(days=options.days, visits=options.visits))
        days = [Samples.first_day + timedelta(days=i) for i in range(options.days)]
        together = cpu_seconds(root / "range", root / "landing", days) / len(days)
        singles = [cpu_seconds(root / "range", root / "landing", [day]) for day in days[-options.single :]]
    alone = sum(singles) / len(singles)
    print(f"{'':24}CPU seconds per day")
    print(f"{len(days)} days as one range{together:>20.1f}")
    print(f"one run per day{alone:>28.1f}   (mean of {len(singles)})")
    print(f"ratio{alone / together:>38.1f}")


if __name__ == "__main__":
    main()
