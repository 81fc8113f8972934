"""The crawler sensor on an instance and a Glue of its own, with a clock that only ticks move."""

from collections.abc import Sequence

import dagster as dg

from pit_pipeline.crawler_sensor import Event, crawler_sensor
from pit_pipeline.glue import GlueCatalog
from pit_pipeline.settings import Settings
from pit_pipeline_tests.conftest import GLUE
from pit_pipeline_tests.fake_glue import FakeGlue

TICK = 30


class Watch:
    """The sensor on an instance and a Glue of its own, with a clock that only ticks move."""

    def __init__(self, instance: dg.DagsterInstance, **settings: object) -> None:
        self.instance = instance
        self.now = 1_700_000_000.0
        self.glue = FakeGlue(lambda: self.now)
        self.cursor: str | None = None
        self.events: list[Event] = []
        self.told = ""
        self._sensor = crawler_sensor(
            Settings.model_validate({**GLUE, **settings}),
            connect=lambda settings: GlueCatalog(settings, self.glue),
            clock=lambda: self.now,
        )

    def make(self, asset: str, *days: str) -> None:
        for day in days or ["2024-01-01"]:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day))

    def tick(self, after: float = TICK, *, dies_after: str = "") -> None:
        """A tick as the daemon makes it: events, then the cursor, unless it dies after `effects` or `events`."""
        self.now += after
        result = self._sensor(dg.build_sensor_context(self.instance, cursor=self.cursor))
        assert isinstance(result, dg.SensorResult)
        self.told = str(result.skip_reason)
        if dies_after == "effects":
            return
        for event in result.asset_events:
            assert isinstance(event, dg.AssetMaterialization | dg.AssetCheckEvaluation)
            self.instance.report_runless_asset_event(event)
            self.events.append(event)
        if not dies_after:
            self.cursor = result.cursor

    def until_started(self, table: str, count: int = 1, within: float = 7200) -> float:
        """Tick until so many crawls of a table have been started; how many seconds that took."""
        began = self.now
        while self.glue.started(table) < count:
            assert self.now - began < within, f"{table} is not crawled: {self.told}"
            self.tick()
        return self.now - began

    def crawled(self, table: str) -> list[tuple[bool, str]]:
        return self._checks(table, "crawled")

    def agrees(self, table: str) -> list[tuple[bool, str]]:
        return self._checks(table, "agrees_with_registry")

    def materialized(self, table: str) -> Sequence[dg.AssetMaterialization]:
        records = self.instance.fetch_materializations(dg.AssetKey(["athena", table]), limit=100).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def _checks(self, table: str, check: str) -> list[tuple[bool, str]]:
        key = dg.AssetCheckKey(dg.AssetKey(["athena", table]), check)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        found = [record.evaluation for record in history]
        return [(one.passed, str(one.description)) for one in reversed(found) if one]
