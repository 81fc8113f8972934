"""Making a run's days: one function per asset, each in one pass over all its days.

Here: read, transform, write, check, publish, record, in that order, per asset. Not here: how rows are made
(`transforms`), what a gate checks (`gates`), what Dagster is told of a day that failed (`ledger`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg
from pyspark import StorageLevel
from pyspark.sql import DataFrame

from pit_pipeline import gates, ingest
from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.landing import BadDay, LandedDay, Landing
from pit_pipeline.ledger import Ledger
from pit_pipeline.reports import figures_of, landed_metadata, table_metadata
from pit_pipeline.settings import Settings
from pit_pipeline.tables import DAILY_METRICS, PARTITION, RECOMMENDATIONS, REJECTED_VISITS, VISITS
from pit_pipeline.transforms import metrics, recommendations, visits
from pit_pipeline.transforms.item_to_item import ItemToItem
from pit_pipeline.zones import Stage

RAW_VISITS = "raw_visits"

_ROWS_PER_PARTITION = 1_000_000
# A day's recommendations need its whole window in memory or on the disk: so many days at a time.
_DAYS_AT_ONCE = 31


def make_raw_visits(ledger: Ledger, landing: Landing, days: Sequence[date]) -> dict[date, LandedDay]:
    """Read what has landed and record it; the days that can be read."""
    landed = {}
    for day, found in landing.scan_all(days):
        if isinstance(found, BadDay):
            ledger.fail(RAW_VISITS, day, str(found))
            continue
        landed[day] = found
        ledger.made(RAW_VISITS, day, landed_metadata(found, landing.key(day)), version=found.fingerprint)
        ledger.log(f"{RAW_VISITS} {day}: {found.records:,} rows in {len(found.files)} files")
    return landed


def recorded_visits(ledger: Ledger, landing: Landing, days: Sequence[date]) -> dict[date, LandedDay]:
    """What has landed for days whose `raw_visits` was recorded before; a day that has changed since fails."""
    landed = {}
    for day, found in landing.scan_all(days):
        recorded = ledger.version_of(RAW_VISITS, day)
        if isinstance(found, BadDay):
            ledger.fail(VISITS.asset, day, str(found))
        elif found.fingerprint != recorded:
            known = f"raw_visits recorded {recorded}" if recorded else "raw_visits has not recorded the day"
            reason = f"the files are {found.fingerprint} but {known}; materialize raw_visits again: {landing.key(day)}"
            ledger.fail(VISITS.asset, day, reason)
        else:
            landed[day] = found
    return landed


def bytes_to_read(
    ledger: Ledger, tables: ParquetTables, landed: Mapping[date, LandedDay], days: Sequence[date], settings: Settings
) -> int:
    """How much a run is going to read: its landed files if it makes visits, and the published visits it looks at."""
    total = sum(day.size for day in landed.values()) if ledger.asked(VISITS.asset) else 0
    reach = timedelta(days=settings.window_days - 1 if ledger.asked(RECOMMENDATIONS.asset) else 0)
    if ledger.asked(DAILY_METRICS.asset) or ledger.asked(RECOMMENDATIONS.asset):
        published = tables.zone(VISITS).published(VISITS)
        total += sum(found.size for day, found in published.items() if days[0] - reach <= day <= days[-1])
    return total


@dataclass
class _Outcome:
    """What became of a day's rows: how many by outcome and by reason, and which files could not be read."""

    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def make_visits(
    ledger: Ledger, tables: ParquetTables, landing: Landing, landed: dict[date, LandedDay], settings: Settings
) -> None:
    """Visits and rejected visits of all landed days, in one pass over their files."""
    if not landed:
        return
    days = list(landed.values())
    cores = tables.session.sparkContext.defaultParallelism
    files = {day.day: math.ceil(day.records / settings.rows_per_file) for day in days}
    larger = {day: count for day, count in files.items() if count > 1}
    enough = sum(day.records for day in days) // _ROWS_PER_PARTITION
    partitions = max(min(len(days), 2 * cores), sum(larger.values()), enough)
    rows = ingest.landed_rows(tables.session, landing.source, days)
    judged = visits.judged(rows, ingest.headers(days), partitions, larger).persist(StorageLevel.MEMORY_AND_DISK)
    with (
        tables.written(VISITS, visits.accepted(judged)) as accepted,
        tables.written(REJECTED_VISITS, visits.rejected(judged)) as rejected,
    ):
        outcomes = _outcomes(judged, landed)
        for day in days:
            _publish_visits(ledger, tables, day, outcomes[day.day], accepted, rejected, settings.reject_threshold)
    judged.unpersist()


def _outcomes(judged: DataFrame, landed: dict[date, LandedDay]) -> dict[date, _Outcome]:
    outcomes = {day: _Outcome() for day in landed}
    digests = {(day, file.name): file.digest for day, found in landed.items() for file in found.files}
    for row in visits.tally(judged).collect():
        day, outcome = row[PARTITION], outcomes[row[PARTITION]]
        if row["outcome"] != visits.FILE:
            outcome.rows[row["outcome"]] += row["count"]
            outcome.reasons.update(dict.fromkeys(row["reasons"], row["count"]))
            continue
        name = row["file"]["source_file"]
        expected = digests.pop((day, name))
        if row["file"]["error"]:
            outcome.problems.append(f"{name}: {row['file']['error']}")
        elif row["file"]["digest"] != expected:
            outcome.problems.append(f"{name} changed while it was being read; run the day again")
    for day, name in digests:
        outcomes[day].problems.append(f"{name} was not read")
    return outcomes


def _publish_visits(
    ledger: Ledger,
    tables: ParquetTables,
    landed: LandedDay,
    outcome: _Outcome,
    accepted: Stage,
    rejected: Stage,
    threshold: float,
) -> None:
    day, asset = landed.day, VISITS.asset
    if outcome.problems:
        ledger.fail(asset, day, "; ".join(outcome.problems))
        return
    counts = (accepted.files(day).rows, rejected.files(day).rows, outcome.rows[visits.DUPLICATE])
    verdicts = [
        gates.row_accounting(landed.records, *counts),
        gates.reject_share(landed.records, counts[1], threshold),
    ]
    if not ledger.passes(asset, day, verdicts, advice=f"the rejected rows are kept in {rejected.kept(day)}"):
        rejected.keep(day)
        return
    rejects = rejected.publish(day)
    published = accepted.publish(day)
    rejected.forget(day)
    reasons = {f"rejected/{reason}": count for reason, count in sorted(outcome.reasons.items())}
    ledger.made(
        asset,
        day,
        {
            **table_metadata(VISITS, published),
            "rows_read": landed.records,
            "rows_accepted": counts[0],
            "rows_rejected": counts[1],
            "rows_duplicate": counts[2],
            "files_read": len(landed.files),
            "rejected_path": dg.MetadataValue.path(rejects.uris[0]),
            **reasons,
        },
    )
    ledger.log(f"{asset} {day}: {verdicts[0].text}")


def make_daily_metrics(ledger: Ledger, tables: ParquetTables, days: Sequence[date]) -> None:
    """One row per day, recounted from the Parquet before it is published."""
    asset = DAILY_METRICS.asset
    published = tables.zone(VISITS).published(VISITS)
    good = _with_visits(ledger, asset, published, days)
    if not good:
        return
    asked = tables.session.createDataFrame([(day,) for day in good], f"{PARTITION} date")
    frame = metrics.daily_metrics(tables.read(VISITS, good), asked)
    with tables.written(DAILY_METRICS, frame.repartition(1)) as staged:
        for day in good:
            row = staged.files(day).dataset().to_table()
            if not ledger.passes(asset, day, [gates.agrees_with_visits(row, published[day].dataset())]):
                continue
            metadata = table_metadata(DAILY_METRICS, staged.publish(day))
            ledger.made(asset, day, {**metadata, **figures_of(row)})
            ledger.log(f"{asset} {day}: revenue {row.column('revenue')[0].as_py():,}")


def make_recommendations(ledger: Ledger, tables: ParquetTables, days: Sequence[date], settings: Settings) -> None:
    """Recommendations as of each day, from those days of its window that are published by now."""
    published = tables.zone(VISITS).published(VISITS)
    good = _with_visits(ledger, RECOMMENDATIONS.asset, published, days)
    for first in range(0, len(good), _DAYS_AT_ONCE):
        chunk = good[first : first + _DAYS_AT_ONCE]
        reach = timedelta(days=settings.window_days - 1)
        needed = [day for day in published if chunk[0] - reach <= day <= chunk[-1]]
        _make_recommendations(ledger, tables, chunk, needed, settings)


def _make_recommendations(
    ledger: Ledger, tables: ParquetTables, days: Sequence[date], needed: Sequence[date], settings: Settings
) -> None:
    asset, limit, model = RECOMMENDATIONS.asset, settings.recommendations_per_person, ItemToItem()
    frame = recommendations.recommendations(
        tables.read(VISITS, needed), days, model, window_days=settings.window_days, limit=limit
    )
    with tables.written(RECOMMENDATIONS, frame) as staged:
        verdicts = gates.recommendation_verdicts(_staged_rows(tables, staged, days), days, limit)
        for day in days:
            if not ledger.passes(asset, day, verdicts[day]):
                continue
            written = table_metadata(RECOMMENDATIONS, staged.publish(day))
            people = written["dagster/partition_row_count"]
            window = sum(day - timedelta(days=settings.window_days) < other <= day for other in needed)
            metadata = {
                **written,
                "model": model.name,
                "window_days": settings.window_days,
                "window_days_published": window,
            }
            ledger.made(asset, day, metadata)
            ledger.log(f"{asset} {day}: {people:,} people, window of {window} published days")
    tables.session.catalog.clearCache()


def _staged_rows(tables: ParquetTables, staged: Stage, days: Sequence[date]) -> DataFrame:
    reader = tables.session.read.schema(staged.table.partitioned_schema).option("basePath", staged.uri)
    return reader.parquet(*(uri for day in days for uri in staged.files(day).uris))


def _with_visits(ledger: Ledger, asset: str, published: Mapping[date, object], days: Sequence[date]) -> list[date]:
    for day in days:
        if day not in published:
            ledger.fail(asset, day, f"no visits are published for {day}; materialize {VISITS.asset} first")
    return [day for day in days if day in published]
