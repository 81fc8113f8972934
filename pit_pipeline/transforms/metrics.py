"""The day's figures.

DataFrame in, DataFrame out; the definitions are the data contract's. Money is decimal throughout.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pit_pipeline.tables import DAILY_METRICS, PARTITION


def daily_metrics(visits: DataFrame, days: DataFrame) -> DataFrame:
    """One row per day of `days` (column visit_date), shape DAILY_METRICS; zeros for a day without visits."""
    bought = F.col("bought")
    amount = F.col("price") * F.col("quantity").cast("decimal(10,0)")
    sums = visits.groupBy(PARTITION).agg(
        F.count_distinct("person_id").alias("people_identified"),
        F.count("*").alias("pits_visited"),
        F.count_distinct("pit").alias("distinct_pits_visited"),
        F.count_if(bought).alias("purchases"),
        F.sum(F.when(bought, F.col("quantity").cast("bigint"))).alias("pits_sold"),
        F.count_distinct(F.when(bought, F.col("pit"))).alias("distinct_pits_sold"),
        F.sum(F.when(bought, amount)).cast("decimal(38,2)").alias("revenue"),
    )
    figures = days.join(sums, PARTITION, how="left").select(
        PARTITION,
        *(F.coalesce(F.col(name), F.lit(0).cast(sums.schema[name].dataType)).alias(name) for name in _FIGURES),
    )
    visited, purchases = F.col("pits_visited"), F.col("purchases")
    return figures.select(
        *_FIGURES,
        F.when(visited > 0, purchases / visited).alias("conversion_rate"),
        F.when(purchases > 0, _half_up(F.col("revenue"), purchases)).alias("average_ticket"),
        PARTITION,
    )


_FIGURES = DAILY_METRICS.schema.names[:-2]  # all but the two ratios


def _half_up(revenue: Column, purchases: Column) -> Column:
    """revenue / purchases to the cent, half-up.

    Spark's decimal division rounds once to at least six decimals, and a second rounding of that could go the
    wrong way. Here every step is exact: whole cents per purchase, and one more where half or more is left.
    """
    cents = (revenue * 100).cast("decimal(38,0)")
    divisor = purchases.cast("decimal(20,0)")
    rest = cents % divisor
    whole = ((cents - rest) / divisor).cast("decimal(36,0)")
    rounded = whole + F.when(rest * 2 >= divisor, 1).otherwise(0).cast("decimal(1,0)")
    return (rounded.cast("decimal(36,0)") * F.lit("0.01").cast("decimal(3,2)")).cast("decimal(38,2)")
