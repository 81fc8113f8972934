"""The four assets: their lineage, partitions, gates and descriptions, and the one step that makes them.

All four are one step, of which any subset can be asked for. As steps of their own, one bad day would either be
marked as made or make Dagster skip what depends on the good days of the same run; here each day goes as far as it
can, in one Spark session. Wiring only: the work is in `steps`.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import dagster as dg
from pydantic import Field

from pit_pipeline import gates, kubernetes, steps
from pit_pipeline.deployment import landing_zone
from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.landing import LandedDay
from pit_pipeline.ledger import CODE_VERSION, Ledger
from pit_pipeline.settings import Settings
from pit_pipeline.tables import DAILY_METRICS, RECOMMENDATIONS, VISITS

STEP = "daily_tables"


class DaysConfig(dg.Config):
    """Run configuration of the step."""

    days: list[str] = Field(
        [],
        description="the days to make, as YYYY-MM-DD, in place of the run's partitions, so that a set with gaps is one "
        "run; a run of fewer than all four assets needs its partition range as well, of which these are some",
    )


def partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per day of the business."""
    return dg.DailyPartitionsDefinition(start_date=str(settings.first_day), timezone=settings.timezone)


def asset_specs(settings: Settings) -> list[dg.AssetSpec]:
    """Lineage, descriptions and column schemas as the UI shows them."""
    made_by_deadline = dg.FreshnessPolicy.cron(
        deadline_cron=f"0 {settings.deadline_hour} * * *",
        lower_bound_delta=timedelta(hours=max(settings.deadline_hour, 1)),
        timezone=settings.timezone,
    )
    landed = dg.AssetSpec(
        steps.RAW_VISITS,
        description="The day's landed CSV files: listed, checked and fingerprinted where they are, not moved.",
        group_name="landing",
        kinds={"csv"},
        skippable=True,
        code_version=CODE_VERSION,
    )
    upstream = {VISITS.name: steps.RAW_VISITS, DAILY_METRICS.name: VISITS.asset, RECOMMENDATIONS.name: VISITS.asset}
    tables = [
        dg.AssetSpec(
            table.asset,
            deps=[upstream[table.name]],
            description=table.description,
            metadata={"dagster/column_schema": table.column_schema, "dagster/table_name": f"{table.zone}.{table.name}"},
            group_name=table.zone,
            kinds={"pyspark", "parquet"},
            skippable=True,
            code_version=CODE_VERSION,
            freshness_policy=made_by_deadline,
        )
        for table in (VISITS, DAILY_METRICS, RECOMMENDATIONS)
    ]
    return [landed, *tables]


def daily_tables(settings: Settings) -> dg.AssetsDefinition:
    """The step that makes any of the four assets for any days."""
    days_of_run = partitions(settings)

    @dg.multi_asset(
        name=STEP,
        specs=asset_specs(settings),
        check_specs=gates.check_specs(days_of_run),
        partitions_def=days_of_run,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(settings.days_per_run),
        # For what passes by itself, such as a lost machine; days with bad input are not tried again.
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
    )
    def make(
        context: dg.AssetExecutionContext, config: DaysConfig, tables: dg.ResourceParam[ParquetTables]
    ) -> Iterator[None]:
        days = sorted(date.fromisoformat(day) for day in set(config.days or context.partition_keys))
        ledger, landing = Ledger(context, days), landing_zone(settings)
        landed: dict[date, LandedDay] = {}
        if ledger.asked(steps.RAW_VISITS):
            landed = steps.make_raw_visits(ledger, landing, days)
        elif ledger.asked(VISITS.asset):
            landed = steps.recorded_visits(ledger, landing, days)
        work = partial(steps.bytes_to_read, ledger, tables, landed, days, settings)
        with tables.configured(kubernetes.spark_conf(settings, context.run.run_id, work)):
            if ledger.asked(VISITS.asset):
                steps.make_visits(ledger, tables, landing, landed, settings)
            if ledger.asked(DAILY_METRICS.asset):
                steps.make_daily_metrics(ledger, tables, ledger.good(steps.RAW_VISITS, VISITS.asset))
            if ledger.asked(RECOMMENDATIONS.asset):
                steps.make_recommendations(ledger, tables, ledger.good(steps.RAW_VISITS, VISITS.asset), settings)
        ledger.close()
        yield from ()  # every day has been recorded by itself

    return make
