"""The code location: the list of everything that Dagster loads."""

import dagster as dg

from pit_pipeline import kubernetes
from pit_pipeline.assets import daily_tables
from pit_pipeline.automation import deadline_schedule, landing_sensor
from pit_pipeline.crawler_sensor import catalog_checks, catalog_specs, crawler_sensor
from pit_pipeline.deployment import parquet_tables
from pit_pipeline.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """Everything, for one deployment's settings."""
    tables = parquet_tables(settings)
    assets = daily_tables(settings)
    on_glue = bool(settings.glue_database)
    return dg.Definitions(
        assets=[assets, *(catalog_specs(settings) if on_glue else [])],
        asset_checks=[catalog_checks(settings)] if on_glue else [],
        sensors=[landing_sensor(settings, assets), *([crawler_sensor(settings)] if on_glue else [])],
        schedules=[deadline_schedule(settings, assets)],
        resources={"tables": tables, "io_manager": tables},
        executor=kubernetes.step_executor(settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` names; the environment is read when it is loaded, not when it is imported."""
    return build(Settings.from_environment())
