"""From text rows to visits: types, rules, reasons for rejection, exact duplicates.

DataFrame in, DataFrame out; the rules are the data contract's. Not here: where rows come from (`ingest`), what
is done when too many are rejected (`assets`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pit_pipeline.records import HEADER_NAMES, contract_columns
from pit_pipeline.tables import PARTITION, REJECTED_VISITS, VISITS

#: What became of a row: `file` marks the row that ends each file and is no visit.
ACCEPTED, DUPLICATE, REJECTED, FILE = "accepted", "duplicate", "rejected", "file"

_TRUE = ("true", "1", "yes", "sim", "t", "s")
_FALSE = ("false", "0", "no", "nao", "não", "f", "n")
# \z, since $ would let a line end pass.
_WHOLE_NUMBER = r"^[0-9]+\z"
_PRICE = r"^[0-9]+(\.[0-9]{1,2})?\z"
_BLANKS = " \t"

#: Equal in all of these, on one day: the same visit delivered twice.
_IDENTITY = ["visited_at", "person_id", "pit", "pit_category", "person_name", "bought", "price", "quantity"]


def judged(
    rows: DataFrame, headers: Sequence[Sequence[str]], partitions: int, files: Mapping[date, int] | None = None
) -> DataFrame:
    """Every row typed, with its `outcome` (see above) and, where rejected, its `reasons` and `record`.

    rows: shape `ingest.ROWS`; headers: what its column `header` indexes; files: of days whose rows are to be spread
    over more than one partition, over how many. Shuffles once, by day and share of the day, into so many partitions;
    a share ends up in one partition, sorted by time.
    """
    count = F.lit(1)
    for day, number in (files or {}).items():
        count = F.when(F.col(PARTITION) == F.lit(day), number).otherwise(count)
    # Equal visits are in the same share.
    typed = _typed(rows, headers).withColumn("share", F.pmod(F.xxhash64(*_IDENTITY), count))
    copy = F.row_number().over(Window.partitionBy(PARTITION, "share", *_IDENTITY).orderBy("source_file"))
    outcome = (
        F.when(F.col("file").isNotNull(), FILE)
        .when(F.size("reasons") > 0, REJECTED)
        .when(copy > 1, DUPLICATE)
        .otherwise(ACCEPTED)
    )
    return typed.repartition(partitions, PARTITION, "share").withColumn("outcome", outcome)


def accepted(judged_rows: DataFrame) -> DataFrame:
    """The visits, shape VISITS."""
    return judged_rows.where(F.col("outcome") == ACCEPTED).select(*VISITS.partitioned_schema.names)


def rejected(judged_rows: DataFrame) -> DataFrame:
    """The rejected rows, shape REJECTED_VISITS."""
    return judged_rows.where(F.col("outcome") == REJECTED).select(*REJECTED_VISITS.partitioned_schema.names)


def tally(judged_rows: DataFrame) -> DataFrame:
    """How many rows of each day had which outcome and reasons; one row per file with what was read of it."""
    file = F.when(F.col("outcome") == FILE, F.struct("source_file", "file.digest", "file.error"))
    return judged_rows.groupBy(PARTITION, "outcome", "reasons", file.alias("file")).count()


def _typed(rows: DataFrame, headers: Sequence[Sequence[str]]) -> DataFrame:
    positions = [contract_columns(header) for header in headers]

    def text(column: str) -> Column:
        places = F.array(*(F.lit(found.get(column, -1)) for found in positions))
        return F.get("fields", F.get(places, F.col("header")))

    values = rows.select("*", *(text(column).alias(f"{column}_text") for column in HEADER_NAMES))
    hour = _number("hour_text", 23)
    minute = F.when(F.col("minute_text").isNull(), 0).otherwise(_number("minute_text", 59))
    price = _matching("price_text", _PRICE).try_cast("decimal(12,2)")
    flag = F.lower(_trimmed("bought_text"))
    typed = values.select(
        PARTITION,
        "source_file",
        "file",
        "header",
        "fields",
        "raw",
        "is_utf8",
        _none_if_empty(_trimmed("person_id_text")).alias("person_id"),
        _none_if_empty(F.col("person_name_text")).alias("person_name"),
        _none_if_empty(_trimmed("pit_text")).alias("pit"),
        _none_if_empty(F.col("pit_category_text")).alias("pit_category"),
        hour.alias("hour"),
        minute.alias("minute"),
        F.when(flag.isin(*_TRUE), True).when(flag.isin(*_FALSE), False).alias("bought"),
        price.alias("price"),
        _number("quantity_text", 2**31 - 1).alias("quantity"),
    )
    year, month, day = F.year(PARTITION), F.month(PARTITION), F.dayofmonth(PARTITION)
    visited_at = F.make_timestamp_ntz(year, month, day, F.col("hour"), F.col("minute"), F.lit(0))
    judged_typed = typed.withColumn("reasons", _reasons()).withColumn("visited_at", visited_at)
    names = F.array(*(F.array(*map(F.lit, _distinct(header))) for header in headers))
    as_json = F.to_json(F.map_from_arrays(F.get(names, F.col("header")), F.col("fields")))
    record = F.when(F.size("reasons") > 0, F.when(F.col("fields").isNull(), F.col("raw")).otherwise(as_json))
    return judged_typed.withColumn("record", record).drop("header", "fields", "raw", "is_utf8", "hour", "minute")


def _reasons() -> Column:
    """Every rule that a row breaks, in the contract's order."""
    invalid = [
        F.when(~F.col("is_utf8"), "encoding"),
        *(F.when(F.col(name).isNull(), name) for name in ("pit", "hour", "minute", "bought", "price", "quantity")),
        F.when(F.col("bought") & (F.col("quantity") == 0), "bought_quantity"),
    ]
    return (
        F.when(F.col("file").isNotNull(), F.array().cast("array<string>"))
        .when(F.col("fields").isNull(), F.array(F.lit("fields")))
        .otherwise(F.array_compact(F.array(*invalid)))
    )


def _trimmed(column: str) -> Column:
    return F.btrim(F.col(column), F.lit(_BLANKS))


def _none_if_empty(text: Column) -> Column:
    return F.when(text != "", text)


def _matching(column: str, pattern: str) -> Column:
    """The column without the blanks around it where it matches, else null: casts are laxer than the contract."""
    return F.when(_trimmed(column).rlike(pattern), _trimmed(column))


def _number(column: str, largest: int) -> Column:
    number = _matching(column, _WHOLE_NUMBER).try_cast("int")
    return F.when(number <= largest, number)


def _distinct(names: Sequence[str]) -> list[str]:
    """Header names with repeats numbered, since an object's keys must differ."""
    taken: set[str] = set()
    result = []
    for name in names:
        distinct, number = name, 1
        while distinct in taken:
            number += 1
            distinct = f"{name}_{number}"
        taken.add(distinct)
        result.append(distinct)
    return result
