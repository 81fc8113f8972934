"""The tables of the Glue database as Dagster's assets: the sensor that has them crawled, and their checks.

At the end of the lineage each catalog table is an external asset: the sensor records every crawl of it. Here: asking
Glue and telling Dagster. Not here: when to crawl (`crawls`), how Glue is asked (`glue`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import dagster as dg

from pit_pipeline.crawls import Action, Cursor, TableState, asks_glue, failed, joined, next_step, noticed
from pit_pipeline.glue import CrawlerRunning, GlueBusy, GlueCatalog, GlueRefused
from pit_pipeline.settings import Settings
from pit_pipeline.tables import TABLES, Table

CRAWLED = "crawled"
AGREES = "agrees_with_registry"

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


def catalog_key(table: Table) -> dg.AssetKey:
    """The asset that stands for a table as Athena sees it."""
    return dg.AssetKey(["athena", table.name])


def catalog_specs(settings: Settings) -> list[dg.AssetSpec]:
    """An external asset per table of the Glue database, each fed by the asset that makes the table."""
    return [
        dg.AssetSpec(
            catalog_key(table),
            deps=[table.asset],
            description=f"`{settings.glue_database}.{table.name}` as Athena sees it. {table.description}",
            metadata={
                "dagster/column_schema": table.column_schema,
                "dagster/table_name": f"{settings.glue_database}.{table.name}",
            },
            group_name="catalog",
            kinds={"glue", "athena"},
        )
        for table in TABLES
    ]


class Verdict(NamedTuple):
    """The result of a check."""

    passed: bool
    text: str


def catalog_checks(
    settings: Settings, connect: Callable[[Settings], GlueCatalog] = GlueCatalog
) -> dg.AssetChecksDefinition:
    """The checks of the catalog's tables, which the sensor evaluates after each crawl, to be run by hand as well."""
    texts = {CRAWLED: "The last crawl of the table succeeded.", AGREES: "Glue holds what the table registry declares."}

    @dg.multi_asset_check(
        name="catalog_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=catalog_key(table), description=text)
            for table in TABLES
            for name, text in texts.items()
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        glue = connect(settings)
        asked = context.selected_asset_check_keys
        for table in TABLES:
            for name, verdict in ((CRAWLED, _last_crawl), (AGREES, _agrees)):
                if dg.AssetCheckKey(catalog_key(table), name) in asked:
                    passed, text = verdict(glue, table)
                    yield dg.AssetCheckResult(
                        asset_key=catalog_key(table), check_name=name, passed=passed, description=text
                    )

    return checks


def crawler_sensor(
    settings: Settings,
    connect: Callable[[Settings], GlueCatalog] = GlueCatalog,
    clock: Callable[[], float] = time.time,
) -> dg.SensorDefinition:
    """Has tables crawled that have new days, and records what has become of each crawl."""

    @dg.sensor(
        name="crawler_sensor",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED,
        description="Starts the Glue crawlers of the tables that have new days, and records each crawl's outcome.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        glue, before, after = connect(settings), Cursor.loaded(context.cursor), Cursor()
        newest = {asset: _newest(context.instance, asset) for asset in {table.asset for table in TABLES}}
        events: list[Event] = []
        told = []
        for table in TABLES:
            now = clock()
            state = noticed(before.tables.get(table.name, TableState()), newest[table.asset], now)
            tick = _tick(glue, table, state, now, settings.crawl_minutes * 60)
            after.tables[table.name] = tick.state
            events += tick.events
            told.append(f"{table.name}: {tick.text}")
        # Dagster records the events before the cursor: a tick cut short in between is told again, never lost.
        return dg.SensorResult(
            asset_events=events, cursor=after.model_dump_json(), skip_reason=dg.SkipReason("; ".join(told))
        )

    return sensor


class _Tick(NamedTuple):
    state: TableState
    text: str
    events: Sequence[Event] = ()


def _tick(glue: GlueCatalog, table: Table, state: TableState, now: float, limit: float) -> _Tick:
    if not asks_glue(state, now):
        return _Tick(state, "new days wait for a crawl" if state.newest > state.covered else "nothing new")
    try:
        step = next_step(state, glue.crawler(table), now, limit)
        if step.action is Action.START:
            glue.start(table)
        elif step.action is Action.STOP:
            glue.stop(table)
        elif step.action is Action.SUCCEEDED:
            seconds = now - state.crawl.since if state.crawl else 0
            return _Tick(step.state, step.text, _outcome(glue, table, seconds))
    except CrawlerRunning:
        step = joined(state, now)
    except GlueBusy as error:
        return _Tick(state, f"{error}; asked again at the next tick")
    except GlueRefused as error:
        step = failed(state, now, str(error))
    if step.action in (Action.FAILED, Action.STOP):
        return _Tick(step.state, step.text, [_evaluation(table, CRAWLED, Verdict(False, step.text))])
    return _Tick(step.state, step.text)


def _outcome(glue: GlueCatalog, table: Table, seconds: float) -> list[Event]:
    days = glue.days(table)
    materialization = dg.AssetMaterialization(
        catalog_key(table),
        metadata={
            "database": glue.database,
            "table": table.name,
            "partitions": len(days),
            "latest_partition": days[-1] if days else "none",
            "crawl_seconds": round(seconds),  # until the sensor saw its end
            "glue_table": dg.MetadataValue.url(glue.table_url(table)),
        },
    )
    return [
        materialization,
        _evaluation(table, CRAWLED, Verdict(True, f"days in the catalog: {len(days)}")),
        _evaluation(table, AGREES, _agrees(glue, table)),
    ]


def _evaluation(table: Table, check: str, verdict: Verdict) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=catalog_key(table), check_name=check, passed=verdict.passed, description=verdict.text
    )


def _agrees(glue: GlueCatalog, table: Table) -> Verdict:
    told = glue.drift(table)
    return Verdict(not told, "\n".join(told) or "Glue holds what the registry declares")


def _last_crawl(glue: GlueCatalog, table: Table) -> Verdict:
    crawler = glue.crawler(table)
    if not crawler.last_status:
        return Verdict(False, "the table has not been crawled")
    text = f"the last crawl ended as {crawler.last_status}"
    return Verdict(crawler.last_status == "SUCCEEDED", f"{text}: {crawler.message}" if crawler.message else text)


def _newest(instance: dg.DagsterInstance, asset: str) -> int:
    """The storage id of an asset's newest materialization, of whatever day; 0 without any."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    return records[0].storage_id if records else 0
