from datetime import date, datetime
from decimal import Decimal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pit_pipeline.tables import DAILY_METRICS, PARTITION, VISITS
from pit_pipeline.transforms.metrics import daily_metrics

FIRST, SECOND, EMPTY, WITHOUT_PURCHASES = (date(2024, 1, n) for n in (1, 2, 3, 4))
Sale = tuple[date, str | None, str, bool, str, int]


def metrics(spark: SparkSession, sales: list[Sale]) -> dict[date, dict[str, object]]:
    rows = [
        (person, None, pit, None, datetime(2024, 1, 1), bought, Decimal(price), quantity, "f", day)
        for day, person, pit, bought, price, quantity in sales
    ]
    visits: DataFrame = spark.createDataFrame(rows, VISITS.partitioned_schema)
    days = spark.createDataFrame([(d,) for d in (FIRST, SECOND, EMPTY, WITHOUT_PURCHASES)], f"{PARTITION} date")
    frame = daily_metrics(visits, days)
    assert [(f.name, f.dataType) for f in frame.schema] == [
        (f.name, f.dataType) for f in DAILY_METRICS.partitioned_schema
    ]
    return {row[PARTITION]: row.asDict() for row in frame.collect()}


def test_each_figure_is_what_the_contract_defines(spark: SparkSession) -> None:
    largest = (SECOND, "p", "a", True, "9999999999.99", 2147483647)
    sales: list[Sale] = [
        (FIRST, "p", "a", True, "0.10", 3),
        (FIRST, "p", "b", False, "5.00", 7),
        (FIRST, None, "b", True, "0.20", 1),
        (FIRST, "q", "a", True, "0.01", 1),
        *[largest] * 1000,
        (WITHOUT_PURCHASES, None, "a", False, "1.00", 0),
    ]
    found = metrics(spark, sales)
    assert found[FIRST] == {
        PARTITION: FIRST,
        "people_identified": 2,
        "pits_visited": 4,
        "distinct_pits_visited": 2,
        "purchases": 3,
        "pits_sold": 5,
        "distinct_pits_sold": 2,
        "revenue": Decimal("0.51"),
        "conversion_rate": 0.75,
        "average_ticket": Decimal("0.17"),
    }
    assert found[SECOND]["revenue"] == Decimal("9999999999.99") * 2147483647 * 1000
    assert found[SECOND]["average_ticket"] == Decimal("9999999999.99") * 2147483647
    nothing = dict.fromkeys(DAILY_METRICS.schema.names, 0) | {"conversion_rate": None, "average_ticket": None}
    assert found[EMPTY] == {**nothing, "revenue": Decimal("0.00"), PARTITION: EMPTY}
    assert (found[WITHOUT_PURCHASES]["conversion_rate"], found[WITHOUT_PURCHASES]["average_ticket"]) == (0.0, None)


def test_the_average_is_rounded_half_up_and_only_once(spark: SparkSession) -> None:
    found = metrics(spark, [(FIRST, "p", "a", True, "0.01", 1), (FIRST, "p", "b", True, "0.02", 1)])
    assert found[FIRST]["average_ticket"] == Decimal("0.02")
    # 100.49999975 cents on average: rounded to six decimals first, that would be 1.005000, and then 1.01.
    price = F.when(F.col("id") < 1_000_000, "1.01").otherwise("1.00").cast("decimal(12,2)")
    million = spark.range(2_000_001).select(
        F.lit(FIRST).alias(PARTITION), F.lit("p").alias("person_id"), F.lit("a").alias("pit"),
        F.lit(True).alias("bought"), price.alias("price"), F.lit(1).alias("quantity"),
    )  # fmt: skip
    (row,) = daily_metrics(million, spark.createDataFrame([(FIRST,)], f"{PARTITION} date")).collect()
    assert row["average_ticket"] == Decimal("1.00")
