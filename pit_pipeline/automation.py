"""What starts runs by itself: the landing sensor and the deadline schedule.

The sensor runs days whose files are new or changed and have been quiet for a while; the schedule runs, at the
deadline, the day before if it is not published from what has landed. They start runs and never wait. Not here:
what a run makes (`assets`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import dagster as dg
from pydantic import BaseModel

from pit_pipeline.assets import STEP
from pit_pipeline.deployment import landing_zone
from pit_pipeline.landing import Landing, fingerprint
from pit_pipeline.ledger import published_from
from pit_pipeline.settings import Settings
from pit_pipeline.sources import Listed
from pit_pipeline.tables import DAILY_METRICS, RECOMMENDATIONS

BACKLOG_TAG = "pit_pipeline/backlog"
# The queue's order: the day that is due before backfills, whose runs have no priority, and those before a backlog.
_FIRST, _LAST = {"dagster/priority": "1"}, {"dagster/priority": "-1"}
DAYS_TAG = "pit_pipeline/days"

# Asking Dagster whether a day is made takes a few queries; a tick must end long before its deadline of a minute.
_ASKED_PER_TICK = 100


class DayState(BaseModel):
    """What the sensor knows of a day's files.

    listing: a digest of their names and versions; since: when they became so (seconds since the epoch); changes:
    how often they have changed; started: whether a run has been started for them.
    """

    listing: str
    since: float
    changes: int = 0
    started: bool = False


class Cursor(BaseModel):
    """The sensor's memory between ticks, by day as YYYY-MM-DD."""

    days: dict[str, DayState] = {}

    @classmethod
    def loaded(cls, text: str | None) -> "Cursor":
        """The cursor that a tick left, or an empty one."""
        return cls.model_validate_json(text) if text else cls()


@dataclass
class Look:
    """One look at the landing zone: the new cursor and the days that are due."""

    cursor: Cursor
    due: list[date] = field(default_factory=list)


def look(
    listing: Mapping[date, Sequence[Listed]],
    before: Cursor,
    *,
    now: datetime,
    zone: ZoneInfo,
    quiet: timedelta,
    is_made: Callable[[date], bool | None],
) -> Look:
    """Compare what has landed with what the cursor remembers.

    is_made: whether a day that the cursor does not know is published from what has landed now; None when that
    cannot be told in this tick.
    """
    seen = Look(Cursor())
    for day in sorted(listing):
        if day_ends(day, zone) > now:
            continue
        files = listing[day]
        digest = fingerprint((file.name, file.version) for file in files)
        state = before.days.get(str(day))
        if state is None:
            made = is_made(day)
            if made is None:
                continue
            state = DayState(listing=digest, since=max(file.changed_at for file in files), started=made)
        elif state.listing != digest:
            # A file may have been taken away, which no remaining file's time tells: count from now.
            state = DayState(listing=digest, since=now.timestamp(), changes=state.changes + 1)
        if not state.started and now.timestamp() - state.since >= quiet.total_seconds():
            state = state.model_copy(update={"started": True})
            seen.due.append(day)
        seen.cursor.days[str(day)] = state
    gone = {day: state for day, state in before.days.items() if day not in seen.cursor.days}
    seen.cursor.days.update({day: state.model_copy(update={"listing": ""}) for day, state in gone.items()})
    return seen


def run_requests(seen: Look, days_per_run: int) -> Iterator[dg.RunRequest]:
    """Runs for the days that are due: so many days each, the latest day in a run of its own, which comes first."""
    if not seen.due:
        return
    *backlog, latest = seen.due
    chunks = [backlog[i : i + days_per_run] for i in range(0, len(backlog), days_per_run)]
    yield dg.RunRequest(run_key=_run_key(seen, [latest]), partition_key=str(latest), tags=_FIRST)
    for days in chunks:
        yield dg.RunRequest(
            run_key=_run_key(seen, days),
            run_config={"ops": {STEP: {"config": {"days": [str(day) for day in days]}}}},
            tags={BACKLOG_TAG: "landing", DAYS_TAG: f"{days[0]}...{days[-1]} ({len(days)})", **_LAST},
        )


def _run_key(seen: Look, days: Sequence[date]) -> str:
    """The same for the same files after the same number of changes: A, B and A again are three runs."""
    states = [(str(day), seen.cursor.days[str(day)]) for day in days]
    text = json.dumps([(day, state.listing, state.changes) for day, state in states])
    return f"{days[0]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def day_ends(day: date, zone: ZoneInfo) -> datetime:
    """The first moment after a day of the business."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)


def landing_sensor(settings: Settings, target: dg.AssetsDefinition) -> dg.SensorDefinition:
    """Runs days that have ended, when their files are new or changed and have been left alone for a while."""
    landing, zone = landing_zone(settings), ZoneInfo(settings.timezone)

    @dg.sensor(
        name="landing_sensor",
        target=[target],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED,
        description="Runs the days whose landed files are new or changed, once they have been left alone for a while.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        listing = {day: files for day, files in landing.listing().items() if day >= settings.first_day}
        seen = look(
            listing,
            Cursor.loaded(context.cursor),
            now=datetime.now(timezone.utc),
            zone=zone,
            quiet=timedelta(seconds=settings.quiet_seconds),
            is_made=_is_made(context.instance, landing),
        )
        return dg.SensorResult(
            run_requests=list(run_requests(seen, settings.days_per_run)),
            cursor=seen.cursor.model_dump_json(),
            skip_reason=None if seen.due else f"{len(listing)} days have landed, none is due",
        )

    return sensor


def _is_made(instance: dg.DagsterInstance, landing: Landing) -> Callable[[date], bool | None]:
    """For a sensor that meets a day for the first time: whether somebody else has made it already."""
    recorded = instance.get_materialized_partitions(dg.AssetKey("raw_visits"))
    asked = 0

    def is_made(day: date) -> bool | None:
        nonlocal asked
        if str(day) not in recorded:
            return False
        if asked == _ASKED_PER_TICK:
            return None
        asked += 1
        return _published(instance, landing, day)

    return is_made


def _published(instance: dg.DagsterInstance, landing: Landing, day: date) -> bool:
    landed = landing.fingerprint(day)
    return landed is not None and published_from(instance, day, landed, [DAILY_METRICS.asset, RECOMMENDATIONS.asset])


def deadline_schedule(settings: Settings, target: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    """Runs the day before if it is not published from what has landed; without files that run fails: the alert."""
    landing = landing_zone(settings)

    @dg.schedule(
        name="deadline",
        target=[target],
        cron_schedule=f"0 {settings.deadline_hour} * * *",
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED,
        description="At the deadline, runs the day before unless it is published from what has landed.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        local = context.scheduled_execution_time.astimezone(ZoneInfo(settings.timezone))
        day = local.date() - timedelta(days=1)
        if day < settings.first_day:
            return dg.SkipReason(f"{day} is before the first day of the partitions, {settings.first_day}")
        if _published(context.instance, landing, day):
            return dg.SkipReason(f"{day} is published from the files that have landed")
        return dg.RunRequest(run_key=f"deadline-{day}", partition_key=str(day), tags=_FIRST)

    return schedule
