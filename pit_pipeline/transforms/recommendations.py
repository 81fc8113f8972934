"""Which pits to show each person next.

DataFrame in, DataFrame out, for many days at once. Here: the window, what a person has seen, the fallback, the
shape of the table, and the interface that a model implements (`Model`). Not here: the model (`item_to_item`).

Everything that is summed is an integer, so that no result depends on the order of rows or the number of cores;
scores are rounded to six decimals before they are ranked, and ties go by the pit's UTF-8 bytes.
"""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pit_pipeline.tables import PARTITION, RECOMMENDATIONS

_PITS = RECOMMENDATIONS.schema["pits_recommended"].dataType

POPULAR = "popular"
RECENT = "recent"

#: One row per day, person and pit of the day's window. `age`: full days since the person's last visit to the pit;
#: `recency`: 1 for the pit that the person visited last, and so on.
INTERACTIONS = ["as_of", "person_id", "pit", "last_visit", "age", "bought", "recency"]


class Model(Protocol):
    """What ranks pits for people. `name` is its name and version as the table states it."""

    @property
    def name(self) -> str:
        """Name and version."""

    def scores(self, interactions: DataFrame) -> DataFrame:
        """Candidates (as_of, person_id, pit, score, reason), one row each; score a finite double > 0.

        interactions: columns INTERACTIONS. Pits that the person has seen may be among the candidates, and people
        for whom there is nothing to say may be missing: the caller sees to both.
        """


def recommendations(
    visits: DataFrame, days: Sequence[date], model: Model, *, window_days: int, limit: int
) -> DataFrame:
    """Shape RECOMMENDATIONS for each of `days`, from the visits of all their windows; sorted by person.

    The result holds a cached DataFrame behind it: use it once, then clear the cache.
    """
    daily = visits.groupBy(PARTITION, "person_id", "pit").agg(
        F.max("visited_at").alias("last_visit"), F.bool_or("bought").alias("bought"), F.count("*").alias("visits")
    )
    in_windows = daily.withColumn("as_of", F.explode(_windows_with(F.col(PARTITION), days, window_days)))
    recency = F.row_number().over(Window.partitionBy("as_of", "person_id").orderBy(F.desc("last_visit"), "pit"))
    interactions = (
        in_windows.where(F.col("person_id").isNotNull())
        .groupBy("as_of", "person_id", "pit")
        .agg(
            F.max("last_visit").alias("last_visit"),
            F.min(F.date_diff("as_of", PARTITION)).alias("age"),
            F.bool_or("bought").alias("bought"),
        )
        .repartition("as_of", "person_id")
        .withColumn("recency", recency)
        .persist()
    )
    people = _people(interactions, window_days, limit)
    best = _best(model.scores(interactions), interactions, limit)
    popular = _popular(in_windows)
    complete = people.join(best, ["as_of", "person_id"], how="left").join(F.broadcast(popular), "as_of", how="left")
    return (
        complete.select(
            "person_id",
            "pits_seen",
            _filled(limit).alias("pits_recommended"),
            "pits_to_revisit",
            F.lit(model.name).alias("model"),
            F.col("as_of").alias(PARTITION),
        )
        .select(*RECOMMENDATIONS.partitioned_schema.names)
        .repartition(max(1, len(days)), PARTITION)
        .sortWithinPartitions(PARTITION, "person_id")
    )


def _windows_with(day: Column, days: Sequence[date], window_days: int) -> Column:
    """Those of `days` whose window holds `day`."""
    asked = F.array(*(F.lit(d) for d in sorted(days)))
    return F.filter(asked, lambda d: (d >= day) & (d < F.date_add(day, window_days)))


def _people(interactions: DataFrame, window_days: int, limit: int) -> DataFrame:
    """Per day and person: pits_seen and pits_to_revisit."""
    end = F.date_add("as_of", 1).cast("timestamp_ntz")
    # Linear, so that visits a minute apart still differ in the sixth decimal.
    freshness = F.round(1 - F.timestamp_diff("MINUTE", F.col("last_visit"), end) / (window_days * 24 * 60), 6)
    entry = F.struct("recency", "pit", "bought", freshness.alias("score"))
    people = interactions.groupBy("as_of", "person_id").agg(F.array_sort(F.collect_list(entry)).alias("pits"))
    unbought = F.slice(F.filter("pits", lambda p: ~p["bought"]), 1, limit)
    return people.select(
        "as_of",
        "person_id",
        F.transform("pits", lambda p: p["pit"]).alias("pits_seen"),
        F.transform(unbought, lambda p: F.struct(p["pit"], p["score"], F.lit(RECENT).alias("reason"))).alias(
            "pits_to_revisit"
        ),
    )


def _best(candidates: DataFrame, interactions: DataFrame, limit: int) -> DataFrame:
    """Per day and person: the `best` unseen candidates in order."""
    key = ["as_of", "person_id"]
    unseen = candidates.join(interactions.select(*key, "pit"), [*key, "pit"], how="left_anti")
    rounded = unseen.withColumn("score", F.round("score", 6))
    rank = F.row_number().over(Window.partitionBy(*key).orderBy(F.desc("score"), "pit"))
    top = rounded.withColumn("rank", rank).where(F.col("rank") <= limit)
    ranked = F.array_sort(F.collect_list(F.struct("rank", "pit", "score", "reason")))
    return (
        top.groupBy(*key)
        .agg(ranked.alias("ranked"))
        .select(*key, F.transform("ranked", lambda p: F.struct(p["pit"], p["score"], p["reason"])).alias("best"))
    )


def _popular(in_windows: DataFrame) -> DataFrame:
    """Per day: `popular`, every pit of the window, most visits first, and `shares`, its share of all visits."""
    counts = in_windows.groupBy("as_of", "pit").agg(F.sum("visits").alias("visits"))
    entry = F.struct((-F.col("visits")).alias("rank"), "pit")
    ranked = counts.groupBy("as_of").agg(
        F.array_sort(F.collect_list(entry)).alias("ranked"), F.sum("visits").alias("total")
    )
    shares = F.transform("ranked", lambda p: F.struct(p["pit"], -p["rank"] / F.col("total")))
    return ranked.select(
        "as_of",
        F.transform("ranked", lambda p: p["pit"]).alias("popular"),
        F.map_from_entries(shares).alias("shares"),
    )


def _filled(limit: int) -> Column:
    """The model's best and, up to `limit`, the most popular pits that the person has not seen.

    A popular pit's score is its share of visits, scaled so that none exceeds the model's last.
    """
    best = F.coalesce("best", F.array().cast(_PITS))
    known = F.concat("pits_seen", F.transform(best, lambda p: p["pit"]))
    # Among so many of the most popular there are enough that are not known.
    fresh = F.array_except(F.slice("popular", 1, F.size(known) + limit), known)
    lowest = F.coalesce(F.element_at("best", -1)["score"], F.lit(1.0))
    scored = F.transform(
        F.slice(fresh, 1, F.lit(limit) - F.size(best)),
        lambda pit: F.struct((-F.round(F.element_at("shares", pit) * lowest, 6)).alias("rank"), pit.alias("pit")),
    )
    # Rounding may have made two scores equal: then the order is by bytes, as everywhere.
    popular = F.transform(
        F.array_sort(scored),
        lambda p: F.struct(p["pit"], (-p["rank"]).alias("score"), F.lit(POPULAR).alias("reason")),
    )
    return F.when(F.size(best) < limit, F.concat(best, popular)).otherwise(best)
