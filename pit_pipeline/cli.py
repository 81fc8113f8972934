"""The command line: the demo, SQL, the UI and made-up landing files on one machine.

Here: options, what is printed and exit codes. Not here: anything that another module could use.
"""

import os
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from pit_pipeline import local
from pit_pipeline.catalog import Answer, BadQuery, Catalog, EmbeddedCatalog, open_catalog
from pit_pipeline.deployment import landing_zone, parquet_tables
from pit_pipeline.java import NoJava
from pit_pipeline.s3 import is_s3
from pit_pipeline.samples import Samples, write_samples
from pit_pipeline.settings import BadSetting, Settings
from pit_pipeline.spark import SHORT_LIVED
from pit_pipeline.tables import REASONS, TABLES

_PEOPLE_SHOWN = 10
_ROWS_SHOWN = 1000


@click.group(context_settings={"max_content_width": 110})
def main() -> None:
    """Know how each day went, and what to show each customer next. Settings are variables named PIT_*."""


@main.command()
@click.option("--port", default=3000, show_default=True, help="where the UI listens, on this machine only")
@click.option(
    "--workspace-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="workspace.yaml",
    show_default=True,
    help="what Dagster loads",
)
def ui(port: int, workspace_file: Path) -> None:
    """Open Dagster's UI on the workspace, with the daemon that runs backfills and sensors."""
    command = local.ui_command(workspace_file.absolute(), port)
    os.execve(command[0], command, dict(local.ui_environment(_from_first_landed(_settings()))))


@main.command()
@click.argument("query", required=False)
def sql(query: str | None) -> None:
    """Answer one QUERY on the tables, or without one as many as are typed, each ended by `;`.

    By Athena where PIT_GLUE_DATABASE is set, else on the workspace by DuckDB. Ctrl-C cancels a query.
    """
    settings = _settings()
    catalog = open_catalog(settings, parquet_tables(settings))
    if query:
        _answer(catalog, query)
        return
    click.echo(f"Tables: {', '.join(table.name for table in TABLES)}. End a query with `;`, leave with Ctrl-D.")
    lines: list[str] = []
    for line in _typed_lines():
        lines.append(line)
        if line.rstrip().endswith(";"):
            try:
                _answer(catalog, "\n".join(lines))
            except click.ClickException as error:
                error.show()
            except KeyboardInterrupt:
                click.echo("cancelled", err=True)
            lines.clear()


@main.command()
@click.argument("landing", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=Samples.seed, show_default=True, help="the same seed makes the same files")
@click.option(
    "--first-day", type=click.DateTime(["%Y-%m-%d"]), default=str(Samples.first_day), show_default=True, help="begin"
)
@click.option("--days", type=click.IntRange(1), default=Samples.days, show_default=True, help="number of days")
@click.option("--people", type=click.IntRange(1), default=Samples.people, show_default=True, help="number of people")
@click.option("--pits", type=click.IntRange(1), default=Samples.pits, show_default=True, help="number of pits")
@click.option("--visits", type=click.IntRange(0), default=Samples.visits, show_default=True, help="visits on a day")
@click.option("--unidentified", type=click.FloatRange(0, 1), default=Samples.unidentified, show_default=True,
              help="share of visits without a person")  # fmt: skip
@click.option("--malformed", type=click.FloatRange(0, 1), default=Samples.malformed, show_default=True,
              help="share of rows that break a rule")  # fmt: skip
@click.option("--duplicates", type=click.FloatRange(0, 1), default=Samples.duplicates, show_default=True,
              help="share of rows that come twice")  # fmt: skip
def samples(landing: Path, first_day: datetime, **options: float) -> None:
    """Write made-up landing files under LANDING, of any size and the same for the same seed."""
    made = Samples(first_day=first_day.date(), **options)  # type: ignore[arg-type]
    days = write_samples(landing, made)
    click.echo(f"{len(days)} days of visits, {days[0]} to {days[-1]}, landed in {landing}")


@main.command()
@click.option(
    "--landing",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="a landing zone of your own, which is only read; without one, a week of samples is made",
)
def demo(landing: Path | None) -> None:
    """Make the whole graph for every day that has landed and print the results."""
    settings = _settings(landing)
    if landing is None:
        if is_s3(settings.landing_uri):
            raise click.ClickException(
                "the samples land in a folder, and PIT_LANDING_URI is in S3; unset it for the demo"
            )
        yesterday = datetime.now(ZoneInfo(settings.timezone)).date() - timedelta(days=1)
        days = write_samples(Path(settings.landing_uri), Samples(first_day=yesterday - timedelta(days=6), days=7))
        click.echo(f"A week of made-up visits landed in {settings.landing_uri}")
        settings = settings.model_copy(update={"spark_conf": {**SHORT_LIVED, **settings.spark_conf}})
    else:
        days = _landed_days(settings)
        if not days:
            sought = f"{settings.landing_uri}/visits/visit_date=YYYY-MM-DD/*.csv or *.csv.gz"
            raise click.ClickException(f"no visits have landed: there is no {sought}")
    settings = _from_first_landed(settings)
    failure = _materialized(settings, days)
    _print_results(settings, days)
    given = f" LANDING={landing}" if landing else ""
    Console().print(f"\nOpen Dagster's UI on it:  [bold]make ui{given}[/]\nAsk your own question:    make sql{given}")
    if failure:
        raise click.ClickException(failure)


def _materialized(settings: Settings, days: list[date]) -> str | None:
    try:
        return local.materialize(settings, days)
    except NoJava as error:
        raise click.ClickException(str(error)) from error


def _settings(landing: Path | None = None) -> Settings:
    environment = dict(os.environ)
    if landing:
        environment["PIT_LANDING_URI"] = str(landing)
    try:
        return Settings.from_environment(environment)
    except BadSetting as error:
        raise click.ClickException(str(error)) from error


def _landed_days(settings: Settings) -> list[date]:
    try:
        return landing_zone(settings).days()
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"{settings.landing_uri} cannot be listed: {error}") from error


def _from_first_landed(settings: Settings) -> Settings:
    """On one machine the partitions begin where the files do, unless it is said otherwise."""
    if "PIT_FIRST_DAY" in os.environ:
        return settings
    landed = _landed_days(settings)
    if not landed:
        return settings
    return settings.model_copy(update={"first_day": landed[0]})


_METRICS = "SELECT visit_date, * EXCLUDE visit_date FROM daily_metrics WHERE visit_date BETWEEN ? AND ? ORDER BY 1"
_REJECTS = f"""
    SELECT visit_date, count(*) AS rejected,
           {", ".join(f"count_if(list_contains(reasons, '{reason}')) AS {reason}" for reason in REASONS)}
    FROM rejected_visits WHERE visit_date BETWEEN ? AND ? GROUP BY 1 ORDER BY 1"""
_PEOPLE = f"""
    SELECT visit_date, person_id, len(pits_seen) AS seen,
           array_to_string(list_transform(pits_recommended[:4], lambda p: p.pit || printf(' %.3f', p.score)), ', ')
               AS pits_recommended,
           pits_recommended[1].reason AS reason,
           array_to_string(list_transform(pits_to_revisit[:2], lambda p: p.pit), ', ') AS pits_to_revisit
    FROM recommendations
    WHERE visit_date = (SELECT max(visit_date) FROM recommendations WHERE visit_date BETWEEN ? AND ?)
    ORDER BY hash(person_id) LIMIT {_PEOPLE_SHOWN}"""


def _print_results(settings: Settings, days: list[date]) -> None:
    catalog, console = EmbeddedCatalog(parquet_tables(settings)), Console()
    for title, query in (
        ("daily_metrics", _METRICS),
        ("rejected_visits: rows by day and reason (a row may have several)", _REJECTS),
        (f"recommendations of the latest day for {_PEOPLE_SHOWN} people", _PEOPLE),
    ):
        answer = catalog.query(query, [days[0], days[-1]])
        if answer:
            _print_grid(console, answer, _figure, title)
    console.print(f"\nParquet: {settings.processing_uri} and {settings.consumer_uri}", soft_wrap=True)


def _print_grid(console: Console, answer: Answer, shown: Callable[[object], str], title: str | None = None) -> None:
    grid = Grid(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(answer.columns):
        numbers = all(isinstance(row[index], int | float | Decimal | None) for row in answer.rows)
        grid.add_column(Text(name), justify="right" if numbers else "left")
    for row in answer.rows:
        grid.add_row(*(Text(shown(value)) for value in row))  # as it is: what is in brackets is not rich's markup
    console.print()
    console.print(grid)


def _figure(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _literal(value: object) -> str:
    """A value as it is, so that it can be copied into a query; a missing one differs from an empty text."""
    return "NULL" if value is None else str(value)


def _answer(catalog: Catalog, query: str) -> None:
    try:
        answer = catalog.query(query, limit=_ROWS_SHOWN)
    except BadQuery as error:
        raise click.ClickException(str(error)) from error
    if answer is None:
        return
    # A terminal wraps what is wider; a file or a pipe gets each row on a line.
    console = Console() if sys.stdout.isatty() else Console(width=100_000)
    _print_grid(console, answer, _literal)
    count = len(answer.rows)
    shown = f"the first {count:,} rows, there are more" if answer.cut else f"{count:,} row{'s'[: count != 1]}"
    click.echo(", ".join(part for part in (shown, answer.note) if part))


def _typed_lines() -> Iterator[str]:
    import readline  # noqa: F401  lets input() edit and recall lines

    while True:
        try:
            yield input("sql> " if sys.stdin.isatty() else "")
        except EOFError:
            return


if __name__ == "__main__":
    main()
