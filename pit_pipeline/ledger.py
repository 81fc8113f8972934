"""What a run has made and what it has not, day by day, as Dagster records it.

Dagster takes the output of a step as made for every day of its run, and the end of a step that raises as made for
none. Here each day is recorded by itself, with its own data version, figures and check results, so that one bad
day fails alone: the days made stay made, what depends on a bad day is not attempted, and the step ends as failed
with a list of the bad days.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

from pit_pipeline.gates import Verdict
from pit_pipeline.tables import VISITS

#: The version of the code behind every asset: change it when the same input gives other rows.
CODE_VERSION = "1"

# The names under which Dagster keeps versions and their provenance on a materialization; what it calls stale
# follows from them. For outputs it writes them itself, but one for all days of a run.
_DATA_VERSION = "dagster/data_version"
_CODE_VERSION = "dagster/code_version"
_INPUT_VERSION = "dagster/input_data_version"
_INPUT_POINTER = "dagster/input_event_pointer"

Metadata = Mapping[str, dg.MetadataValue | str | int | float]


class Ledger:
    """The days of one run: which are still good for what comes next, and what is recorded of each."""

    def __init__(self, context: dg.AssetExecutionContext, days: Sequence[date]) -> None:
        self._context = context
        self._days = list(days)
        self._problems: dict[tuple[date, str], str] = {}

    def asked(self, asset: str) -> bool:
        """Whether the run is to make this asset."""
        return dg.AssetKey(asset) in self._context.selected_asset_keys

    def good(self, *upstream: str) -> list[date]:
        """The run's days on which none of these assets has failed."""
        bad = {day for day, asset in self._problems if asset in upstream}
        return [day for day in self._days if day not in bad]

    def log(self, text: str) -> None:
        """A line of progress."""
        self._context.log.info(text)

    def fail(self, asset: str, day: date, reason: str) -> None:
        """The day of the asset cannot be made."""
        self._problems[day, asset] = reason
        self._context.log.error(f"{asset} {day} failed: {reason}")
        if not (self._context.has_partition_key or self._context.has_partition_key_range):
            self._plan(asset, day)

    def _plan(self, asset: str, day: date) -> None:
        """Say that the run was to make a day: what is planned and not made is what the UI shows as failed.

        Dagster says so itself for runs of one day or one range; for a set of days with gaps it knows no tag.
        """
        planned = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=str(day))
        context = self._context
        step = context.op_execution_context.op.name
        event = DagsterEvent.build_asset_materialization_planned_event(context.job_name, step, planned)
        context.instance.report_dagster_event(event, context.run.run_id)

    def passes(self, asset: str, day: date, verdicts: Sequence[Verdict], advice: str = "") -> bool:
        """Record the gates of a day; if one is shut, the day fails, for that reason and with the advice."""
        for verdict in verdicts:
            self._context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(asset),
                    check_name=verdict.gate,
                    passed=verdict.passed,
                    metadata=dict(verdict.figures),
                    description=verdict.text,
                    partition=str(day),
                )
            )
        shut = [f"{verdict.gate}: {verdict.text}" for verdict in verdicts if not verdict.passed]
        if shut:
            self.fail(asset, day, "; ".join([*shut, advice] if advice else shut))
        return not shut

    def version_of(self, asset: str, day: date) -> str | None:
        """The data version with which a day of an asset was last made, by whatever run."""
        return data_version(latest(self._context.instance, asset, day))

    def made(self, asset: str, day: date, metadata: Metadata, *, version: str | None = None) -> None:
        """Record a day of an asset as made.

        version: its data version; by default one that follows from the code's and the input's.
        """
        tags = {_CODE_VERSION: CODE_VERSION}
        versions = []
        for upstream in sorted(key.path[-1] for key in self._upstream(asset)):
            record = latest(self._context.instance, upstream, day)
            found = data_version(record)
            versions.append(found or "")
            tags[f"{_INPUT_VERSION}/{upstream}"] = found or "NULL"
            tags[f"{_INPUT_POINTER}/{upstream}"] = str(record.storage_id) if record else "NULL"
        tags[_DATA_VERSION] = version or sha256("".join([CODE_VERSION, asset, *versions]).encode()).hexdigest()
        self._context.log_event(dg.AssetMaterialization(asset, partition=str(day), metadata=dict(metadata), tags=tags))

    def close(self) -> None:
        """Raise a Failure that lists what could not be made, if anything."""
        if not self._problems:
            return
        lines = [f"{day} {asset}: {reason}" for (day, asset), reason in sorted(self._problems.items())]
        days = sorted({str(day) for day, _ in self._problems})
        raise dg.Failure(
            f"{len(days)} of {len(self._days)} days could not be made, all others were:\n" + "\n".join(lines),
            metadata={"bad days": ", ".join(days)},
            # The same input would fail again.
            allow_retries=False,
        )

    def _upstream(self, asset: str) -> set[dg.AssetKey]:
        specs = self._context.assets_def.specs_by_key
        return {dep.asset_key for dep in specs[dg.AssetKey(asset)].deps}


def latest(instance: dg.DagsterInstance, asset: str, day: date) -> dg.EventLogRecord | None:
    """The latest materialization of a day of an asset."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[str(day)])
    records = instance.fetch_materializations(wanted, limit=1).records
    return records[0] if records else None


def data_version(record: dg.EventLogRecord | None) -> str | None:
    """The data version that a materialization carries."""
    materialization = record.asset_materialization if record else None
    return materialization.tags.get(_DATA_VERSION) if materialization and materialization.tags else None


def published_from(instance: dg.DagsterInstance, day: date, landed: str, assets: Sequence[str]) -> bool:
    """Whether each of `assets` was last made for the day from the landed files of this fingerprint."""
    raw = data_version(latest(instance, "raw_visits", day))
    visits = latest(instance, VISITS.asset, day)
    if raw != landed or _input_version(visits, "raw_visits") != landed:
        return False
    made_from = data_version(visits)
    return all(_input_version(latest(instance, asset, day), VISITS.asset) == made_from for asset in assets)


def _input_version(record: dg.EventLogRecord | None, upstream: str) -> str | None:
    materialization = record.asset_materialization if record else None
    return (
        materialization.tags.get(f"{_INPUT_VERSION}/{upstream}") if materialization and materialization.tags else None
    )
