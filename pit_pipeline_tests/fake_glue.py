"""Glue's crawlers that fail, never end or are throttled, which moto's do not: the part of boto3's client in use."""

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import cache
from typing import Any

import boto3

from pit_pipeline_tests.conftest import GLUE, exported_tables, table_input


class FakeGlue:
    """Every crawler of the database, by table; `calls` is what was asked, `refuse` what is answered with an error."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.exceptions = _exceptions()
        self.tables = {name: table_input(table) for name, table in exported_tables().items()}
        self.days = {name: ["2024-01-01"] for name in self.tables}
        self.began = dict.fromkeys(self.tables, 0.0)  # of the crawl under way
        self.last: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.refuse: dict[tuple[str, str], str] = {}
        self._clock = clock

    def started(self, table: str) -> int:
        return self.calls.count(("start_crawler", table))

    def end(self, table: str, status: str = "SUCCEEDED", message: str = "") -> None:
        """End the crawl that is under way."""
        assert self.began[table], f"no crawl of {table} is under way"
        began = datetime.fromtimestamp(self.began[table], timezone.utc)
        self.last[table] = {"Status": status, "StartTime": began, "ErrorMessage": message, "LogStream": "l"}
        self.began[table] = 0

    def start_crawler(self, Name: str) -> None:  # noqa: N803
        table = self._asked("start_crawler", Name)
        if self.began[table]:
            self._raise("CrawlerRunningException")
        self.began[table] = self._clock()

    def stop_crawler(self, Name: str) -> None:  # noqa: N803
        table = self._asked("stop_crawler", Name)
        if not self.began[table]:
            self._raise("CrawlerNotRunningException")
        self.end(table, "CANCELLED")

    def get_crawler(self, Name: str) -> dict[str, Any]:  # noqa: N803
        table = self._asked("get_crawler", Name)
        found: dict[str, Any] = {"State": "RUNNING" if self.began[table] else "READY"}
        return {"Crawler": found | ({"LastCrawl": self.last[table]} if table in self.last else {})}

    def get_table(self, DatabaseName: str, Name: str) -> dict[str, Any]:  # noqa: N803
        return {"Table": self.tables[self._asked("get_table", f"{DatabaseName}-{Name}")]}

    def get_paginator(self, operation: str) -> "FakeGlue":
        assert operation == "get_partitions"
        return self

    def paginate(self, TableName: str, **_: object) -> Iterator[dict[str, Any]]:  # noqa: N803
        self._asked("get_partitions", f"pits-{TableName}")
        yield {"Partitions": [{"Values": [day]} for day in self.days[TableName]]}

    def _asked(self, operation: str, name: str) -> str:
        table = name.removeprefix("pits-")
        self.calls.append((operation, table))
        if code := self.refuse.get((operation, table)):
            self._raise(code)
        return table

    def _raise(self, code: str) -> None:
        answer = {"Error": {"Code": code, "Message": "told by the fake"}}
        raise self.exceptions.from_code(code)(answer, "an operation")


@cache
def _exceptions() -> Any:
    return boto3.session.Session().client("glue", region_name=GLUE["aws_region"]).exceptions
