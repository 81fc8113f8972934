"""One machine without AWS: the workspace, runs without the UI, and the UI on the same workspace.

Here: Dagster's home in the workspace, one in-process run over any set of days with its progress on the console,
the command that opens the UI. Not here: what a run makes (`assets`), what is printed afterwards (`cli`).
"""

import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path

import dagster as dg

from pit_pipeline.assets import STEP, asset_specs
from pit_pipeline.automation import DAYS_TAG
from pit_pipeline.definitions import build
from pit_pipeline.settings import Settings


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's state, with its settings in it."""
    home = settings.workspace / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(resources.files("pit_pipeline") / "dagster.yaml"), home / "dagster.yaml")
    return home


def materialize(settings: Settings, days: Sequence[date]) -> str | None:
    """Make all assets for these days in one run, recorded where the UI finds it; what failed, if anything.

    days: in order, at least one, none before the first day of the partitions.
    """
    definitions = dg.Definitions.merge(build(settings), dg.Definitions(loggers={"console": dg.logger(_progress)}))
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            asset_selection=[spec.key for spec in asset_specs(settings)],
            tags={DAYS_TAG: f"{days[0]}...{days[-1]} ({len(days)})"},
            run_config={
                "ops": {STEP: {"config": {"days": [str(day) for day in days]}}},
                "loggers": {"console": {}},
            },
        )
    if result.success:
        return None
    failure = result.failure_data_for_node(STEP)
    if failure and failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return failure.error.to_string() if failure and failure.error else "the run failed; see the messages above"


def ui_command(workspace_file: Path, port: int) -> list[str]:
    """The command that serves the UI and runs the daemon until it is interrupted."""
    return [sys.executable, "-m", "dagster", "dev", "-w", str(workspace_file), "-h", "127.0.0.1", "-p", str(port)]


def ui_environment(settings: Settings) -> Mapping[str, str]:
    """The environment of that command."""
    return {**os.environ, **settings.environment(), "DAGSTER_HOME": str(dagster_home(settings))}


def _progress(_: dg.InitLoggerContext) -> logging.Logger:
    """One line for each thing done, to standard output."""
    logger = logging.Logger("pit_pipeline.progress", logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_is_progress)
    handler.setFormatter(_MessageFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    return logger


def _is_progress(record: logging.LogRecord) -> bool:
    """Not Dagster's own events, nor its remark on outputs: days are recorded one by one, outputs not at all."""
    is_event = getattr(record, "dagster_meta", {}).get("dagster_event")
    return not is_event and "did not yield or return expected outputs" not in record.getMessage()


class _MessageFormatter(logging.Formatter):
    """The message as it was logged, without the run and step that Dagster puts before it."""

    def format(self, record: logging.LogRecord) -> str:
        original = getattr(record, "dagster_meta", {}).get("orig_message")
        if original:
            record.msg, record.args = original, None
        return super().format(record)
