"""The catalog on AWS: Glue holds the tables, crawlers add their days, Athena answers SQL.

Here: every call to Glue and Athena, and what their errors mean. Not here: when a crawler is started (`crawls`), how
databases, tables, crawlers and workgroups are made (Terraform, from the registry's export).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pit_pipeline.catalog import Answer, BadQuery, differences
from pit_pipeline.settings import Settings
from pit_pipeline.tables import Column, Table

# A sensor asks, and must be done long before its deadline of a minute, for every table; its next tick is the retry.
_CONNECT_SECONDS, _READ_SECONDS = 3, 5

_PASSING = {
    "ConcurrentModificationException",
    "InternalServiceException",
    "OperationTimeoutException",
    "RequestLimitExceeded",
    "ResourceNotReadyException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
}


class GlueBusy(Exception):
    """Glue did not do what was asked, which passes by itself: try again later."""


class GlueRefused(Exception):
    """Glue will not do what is asked until somebody changes something; the message says what it answered."""


class CrawlerRunning(Exception):
    """The crawler cannot be started since a crawl is under way."""


@dataclass(frozen=True)
class Crawler:
    """What Glue says of a crawler.

    running: whether a crawl is under way; the rest is of its last crawl: when it began (seconds since the epoch, by
    Glue's clock, 0 before the first), its status (SUCCEEDED, FAILED, CANCELLED), Glue's message and where its log is.
    """

    running: bool
    last_began: float = 0
    last_status: str = ""
    message: str = ""
    log: str = ""


def crawler_name(database: str, table: str) -> str:
    """The crawler of a table; a table's name in Glue is its name in the registry."""
    return f"{database}-{table}"


class GlueCatalog:
    """The tables of one Glue database, its crawlers, and SQL by Athena."""

    def __init__(self, settings: Settings, client: Any = None) -> None:
        """Make no call; client: what to talk to in place of boto3's Glue client."""
        self.database = settings.glue_database
        self._region = settings.aws_region
        self._workgroup = settings.athena_workgroup
        self._glue = client or _glue_client(settings.aws_region)

    def query(self, sql: str, *, limit: int | None = None) -> Answer | None:
        """See Catalog; an interrupt cancels the query."""
        from botocore.exceptions import BotoCoreError
        from pyathena import connect
        from pyathena.error import Error

        # It logs what it raises, with a traceback.
        logging.getLogger("pyathena").setLevel(logging.CRITICAL)
        try:
            # No result location, not even from the environment: it is the workgroup's.
            with connect(
                work_group=self._workgroup, schema_name=self.database, region_name=self._region, s3_staging_dir=""
            ).cursor() as cursor:
                cursor.execute(sql.strip().removesuffix(";"))
                if not cursor.description:
                    return None
                rows = list(cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1))
                note = f"{cursor.data_scanned_in_bytes or 0:,} bytes scanned"
                return Answer(
                    [column[0] for column in cursor.description],
                    rows[:limit],
                    cut=len(rows) > len(rows[:limit]),
                    note=note,
                )
        except (Error, BotoCoreError) as error:
            raise BadQuery(str(error)) from error

    def drift(self, table: Table) -> list[str]:
        """See Catalog. Raises GlueBusy, GlueRefused."""
        with _asking(f"the Glue table {self.database}.{table.name}"):
            try:
                held = self._glue.get_table(DatabaseName=self.database, Name=table.name)["Table"]
            except self._glue.exceptions.EntityNotFoundException:
                return [f"table {table.name} is missing in the Glue database {self.database}"]
        return [
            *differences("column", table.hive_columns, _columns(held["StorageDescriptor"]["Columns"])),
            *differences("partition key", table.hive_partition_keys, _columns(held.get("PartitionKeys", []))),
        ]

    def crawler(self, table: Table) -> Crawler:
        """What Glue says of a table's crawler. Raises GlueBusy, GlueRefused."""
        with self._asking_crawler(table) as name:
            found = self._glue.get_crawler(Name=name)["Crawler"]
        last = found.get("LastCrawl", {})
        began = last.get("StartTime")
        return Crawler(
            running=found["State"] != "READY",
            last_began=began.timestamp() if began else 0,
            last_status=last.get("Status", ""),
            message=last.get("ErrorMessage", ""),
            log=f"{last.get('LogGroup', '/aws-glue/crawlers')}, stream {last.get('LogStream', name)}",
        )

    def start(self, table: Table) -> None:
        """Start a table's crawler. Raises CrawlerRunning, GlueBusy, GlueRefused."""
        with self._asking_crawler(table) as name:
            try:
                self._glue.start_crawler(Name=name)
            except self._glue.exceptions.CrawlerRunningException as error:
                raise CrawlerRunning(str(error)) from error

    def stop(self, table: Table) -> None:
        """Have a crawl ended, if there is one under way. Raises GlueBusy, GlueRefused."""
        with self._asking_crawler(table) as name:
            try:
                self._glue.stop_crawler(Name=name)
            except (
                self._glue.exceptions.CrawlerNotRunningException,
                self._glue.exceptions.CrawlerStoppingException,
            ):
                return

    def days(self, table: Table) -> list[str]:
        """The values of a table's partitions, in order; a table that is not there has none, which `drift` tells."""
        with _asking(f"the partitions of the Glue table {self.database}.{table.name}"):
            pages = self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=self.database, TableName=table.name, ExcludeColumnSchema=True
            )
            try:
                return sorted(partition["Values"][0] for page in pages for partition in page["Partitions"])
            except self._glue.exceptions.EntityNotFoundException:
                return []

    def table_url(self, table: Table) -> str:
        """A table's page in the AWS console."""
        console = f"https://{self._region}.console.aws.amazon.com/glue/home?region={self._region}"
        return f"{console}#/v2/data-catalog/tables/view/{table.name}?database={self.database}"

    @contextmanager
    def _asking_crawler(self, table: Table) -> Iterator[str]:
        name = crawler_name(self.database, table.name)
        with _asking(f"the Glue crawler {name}"):
            yield name


def _glue_client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"mode": "standard", "max_attempts": 0}
    )
    # A session of its own: the default one is shared between a code server's threads, which it does not bear.
    return boto3.session.Session().client("glue", region_name=region, config=config)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Tell errors that pass by themselves from those that do not; what: whom the question is about."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnection

    try:
        yield
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        passes = code in _PASSING or status == 429 or status >= 500
        told = f"{what}: {error.operation_name} was answered by {code}: {text}"
        raise (GlueBusy if passes else GlueRefused)(told) from error
    except (NoConnection, HTTPClientError) as error:  # no answer
        raise GlueBusy(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise GlueRefused(f"{what}: {error}") from error


def _columns(declared: list[dict[str, str]]) -> list[Column]:
    return [
        Column(column["Name"], column.get("Type", "").lower().replace(" ", ""), column.get("Comment", ""))
        for column in declared
    ]
