"""When a table's crawler is started, and what has become of its crawls: the rule, without Glue and without Dagster.

One small state per table. A crawl covers what had been made when it was started; only a crawl that succeeded counts.
Losing the newest state, at whatever moment, costs at most a crawl too many. Not here: who asks Glue, and what Dagster
is told (`crawler_sensor`).
"""

from dataclasses import dataclass
from enum import Enum

from pydantic import BaseModel

from pit_pipeline.glue import Crawler

# Glue bills ten minutes for the shortest crawl, so days that are made one after the other share one: it waits until
# nothing new has come for a while, but a long backfill is not kept from Athena until its end.
QUIET_SECONDS = 60
LONGEST_WAIT_SECONDS = 15 * 60

_FIRST_RETRY_SECONDS = 60
_LONGEST_RETRY_SECONDS = 60 * 60


class Crawl(BaseModel):
    """A crawl under way.

    covers: the newest materialization made before it, by storage id, 0 for a crawl that somebody else has started;
    since: when it was started or met (seconds since the epoch); before: when the crawler's crawl before it began, by
    Glue's clock.
    """

    covers: int
    since: float
    before: float = 0


class TableState(BaseModel):
    """What is known of one table between ticks. Times are seconds since the epoch.

    newest, newest_at: the newest materialization by storage id, and when it was seen; waiting_since: when the first
    was seen that no crawl has been started for; covered: what the last crawl that succeeded covers; failures: how
    many have failed since; retry_at: not to be tried again before.
    """

    newest: int = 0
    newest_at: float = 0
    waiting_since: float | None = None
    covered: int = 0
    failures: int = 0
    retry_at: float = 0
    crawl: Crawl | None = None


class Cursor(BaseModel):
    """The sensor's memory between ticks, by table name."""

    tables: dict[str, TableState] = {}

    @classmethod
    def loaded(cls, text: str | None) -> "Cursor":
        """The cursor that a tick left, or an empty one."""
        return cls.model_validate_json(text) if text else cls()


class Action(Enum):
    """What is to be done now, or has become of a crawl."""

    WAIT = "wait"
    START = "start"
    STOP = "stop"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """The next state, what is to be done, and why; STOP is a failure too."""

    state: TableState
    action: Action
    text: str


def noticed(state: TableState, newest: int, now: float) -> TableState:
    """The state when `newest` is the newest materialization, by storage id (0: none)."""
    if newest <= state.newest:
        return state
    waiting_since = now if state.waiting_since is None else state.waiting_since
    return state.model_copy(update={"newest": newest, "newest_at": now, "waiting_since": waiting_since})


def asks_glue(state: TableState, now: float) -> bool:
    """Whether Glue is to be asked now: a crawl is under way or is to be started."""
    if state.crawl:
        return True
    if state.newest <= state.covered or now < state.retry_at:
        return False
    waited = state.waiting_since is not None and now - state.waiting_since >= LONGEST_WAIT_SECONDS
    return bool(state.failures) or waited or now - state.newest_at >= QUIET_SECONDS


def next_step(state: TableState, crawler: Crawler, now: float, limit: float) -> Step:
    """What follows from what Glue says of the crawler, for a state that `asks_glue`; limit: seconds for a crawl."""
    if state.crawl:
        return _judged(state, state.crawl, crawler, now, limit)
    if crawler.running:
        return joined(state, now)
    crawl = Crawl(covers=state.newest, since=now, before=crawler.last_began)
    return Step(state.model_copy(update={"crawl": crawl, "waiting_since": None}), Action.START, "a crawl was started")


def joined(state: TableState, now: float) -> Step:
    """Wait for a crawl that somebody else has started; it may have begun before the data, so it covers nothing."""
    step = state.model_copy(update={"crawl": Crawl(covers=0, since=now)})
    return Step(step, Action.WAIT, "waiting for somebody else's crawl to end")


def failed(state: TableState, now: float, text: str, action: Action = Action.FAILED) -> Step:
    """Give up a crawl, or the try to start one, and try again later, each time after twice as long."""
    delay = min(_FIRST_RETRY_SECONDS * 2**state.failures, _LONGEST_RETRY_SECONDS)
    # The number is capped, so that no power of it grows beyond bounds.
    update = {"crawl": None, "failures": min(state.failures + 1, 10), "retry_at": now + delay}
    return Step(state.model_copy(update=update), action, f"{text}; tried again in {delay // 60} min")


def _judged(state: TableState, crawl: Crawl, crawler: Crawler, now: float, limit: float) -> Step:
    late = now - crawl.since > limit
    if crawler.running:
        if late:
            text = f"the crawl took longer than PIT_CRAWL_MINUTES ({limit / 60:.0f}) and was stopped: {crawler.log}"
            return failed(state, now, text, Action.STOP)
        return Step(state, Action.WAIT, f"a crawl is under way since {now - crawl.since:.0f} s")
    if not crawl.covers:
        return next_step(state.model_copy(update={"crawl": None}), crawler, now, limit)
    if crawler.last_began <= crawl.before:
        # Glue has not yet shown the crawl, neither as under way nor as ended.
        return failed(state, now, "Glue shows nothing of the crawl") if late else Step(state, Action.WAIT, "starting")
    if crawler.last_status != "SUCCEEDED":
        message = f": {crawler.message}" if crawler.message else ""
        return failed(state, now, f"the crawl ended as {crawler.last_status}{message} (log: {crawler.log})")
    update = {"crawl": None, "covered": crawl.covers, "failures": 0, "retry_at": 0.0}
    return Step(state.model_copy(update=update), Action.SUCCEEDED, "the crawl succeeded")
