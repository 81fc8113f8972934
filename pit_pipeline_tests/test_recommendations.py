"""What the shop is told to show, and whether it is any good."""

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from pit_pipeline import gates
from pit_pipeline.samples import Samples, World
from pit_pipeline.tables import PARTITION, RECOMMENDATIONS, VISITS
from pit_pipeline.transforms.item_to_item import ItemToItem
from pit_pipeline.transforms.recommendations import recommendations

D = date(2024, 4, 1)
Visit = tuple[int, str | None, str, bool]  # days before D, person, pit, bought


def visits(spark: SparkSession, given: Sequence[Visit]) -> DataFrame:
    rows = []
    for i, (ago, person, pit, bought) in enumerate(given):
        day = D - timedelta(days=ago)
        at = datetime.combine(day, datetime.min.time()) + timedelta(minutes=i)
        rows.append((person, None, pit, None, at, bought, Decimal("1.00"), 1, "f", day))
    return spark.createDataFrame(rows, VISITS.partitioned_schema)


def recommended(spark: SparkSession, given: Sequence[Visit], limit: int = 10, window: int = 90) -> dict[str, Row]:
    frame = recommendations(visits(spark, given), [D], ItemToItem(), window_days=window, limit=limit)
    rows = {row["person_id"]: row for row in frame.collect()}
    spark.catalog.clearCache()
    return rows


TASTES: list[Visit] = [
    *((2, f"tea{i}", pit, False) for i in range(20) for pit in ("cup", "pot", "leaf")),
    *((2, f"dog{i}", pit, False) for i in range(30) for pit in ("bone", "lead")),
    (1, "new", "cup", False),
    (0, "new", "pot", True),
    (0, "odd", "unique", False),
    (0, None, "bone", True),
    (89, "old", "lead", False),
    (90, "older", "lead", False),
]


def test_people_get_what_others_of_their_taste_visited(spark: SparkSession) -> None:
    found = recommended(spark, TASTES)
    new = found["new"]
    assert new["pits_seen"] == ["pot", "cup"]
    assert (new["pits_recommended"][0]["pit"], new["pits_recommended"][0]["reason"]) == ("leaf", "co_visited")
    assert [p["pit"] for p in new["pits_to_revisit"]] == ["cup"]
    assert new["model"] == "item-to-item 1"
    # Nobody shares a pit with them: the most popular of the window, the unidentified visit counted.
    odd = found["odd"]["pits_recommended"]
    assert [p["pit"] for p in odd] == ["bone", "lead", "cup", "pot", "leaf"]
    assert {p["reason"] for p in odd} == {"popular"}
    # The window is D-89 ... D, and people without an id are nobody.
    assert "old" in found
    assert "older" not in found
    assert None not in found


def test_what_was_seen_long_ago_weighs_less(spark: SparkSession) -> None:
    pairs: list[Visit] = []
    for i in range(10):
        pairs += [(80, f"x{i}", "new", False), (80, f"x{i}", "then", False)]
        pairs += [(1, f"y{i}", "new", False), (1, f"y{i}", "now", False)]
    found = recommended(spark, [*pairs, (0, "me", "new", False)])
    assert [p["pit"] for p in found["me"]["pits_recommended"][:2]] == ["now", "then"]


def test_scores_descend_and_ties_go_by_bytes(spark: SparkSession) -> None:
    given: list[Visit] = [(1, f"p{i}", pit, False) for i in range(5) for pit in ("hub", "é", "z", "B", "a")]
    found = recommended(spark, [*given, (0, "me", "hub", False)], limit=3)
    best = found["me"]["pits_recommended"]
    assert [p["pit"] for p in best] == ["B", "a", "z"]
    assert len({p["score"] for p in best}) == 1
    assert all(p["score"] == round(p["score"], 6) for p in best)


def test_pits_to_revisit_were_not_bought_and_come_latest_first(spark: SparkSession) -> None:
    given: list[Visit] = [(9, "p", "a", False), (5, "p", "b", True), (5, "p", "c", False), (1, "p", "a", False)]
    (row,) = recommended(spark, given).values()
    assert [(p["pit"], p["reason"]) for p in row["pits_to_revisit"]] == [("a", "recent"), ("c", "recent")]
    scores = [p["score"] for p in row["pits_to_revisit"]]
    assert scores == sorted(scores, reverse=True)
    assert row["pits_recommended"] == []


def sample_visits(spark: SparkSession, tmp_path: Path, samples: Samples) -> DataFrame:
    world = World(samples)
    for i in range(samples.days):
        day = samples.first_day + timedelta(days=i)
        world.day(day).to_pandas().assign(day=str(day)).to_parquet(tmp_path / f"{day}.parquet")
    return spark.read.parquet(str(tmp_path)).select(
        F.when(F.col("person_id") != "", F.col("person_id")).alias("person_id"),
        F.lit(None).cast("string").alias("person_name"),
        "pit",
        "pit_category",
        F.to_timestamp_ntz(F.format_string("%s %s:%s", "day", "hour", "minute"), F.lit("yyyy-MM-dd H:m")).alias(
            "visited_at"
        ),
        (F.col("bought") == "true").alias("bought"),
        F.col("price").cast("decimal(12,2)").alias("price"),
        F.col("quantity").cast("int").alias("quantity"),
        F.lit("f").alias("source_file"),
        F.to_date("day").alias(PARTITION),
    )


@pytest.fixture(scope="module")
def sampled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    samples = Samples(seed=5, days=12, people=600, pits=300, visits=1500)
    return sample_visits(spark, tmp_path_factory.mktemp("samples"), samples)


def test_it_beats_popularity_on_days_held_out(spark: SparkSession, sampled: DataFrame) -> None:
    last = Samples.first_day + timedelta(days=8)
    past = sampled.where(F.col(PARTITION) <= F.lit(last))
    future = (
        sampled.where((F.col(PARTITION) > F.lit(last)) & F.col("person_id").isNotNull())
        .select("person_id", "pit")
        .distinct()
        .collect()
    )
    rows = recommendations(past, [last], ItemToItem(), window_days=90, limit=10).collect()
    popular = [r["pit"] for r in past.groupBy("pit").count().orderBy(F.desc("count"), "pit").collect()]
    model_hits = popular_hits = served = other_reasons = 0
    wanted: dict[str, set[str]] = {}
    for visit in future:
        wanted.setdefault(visit["person_id"], set()).add(visit["pit"])
    for row in rows:
        other_reasons += any(p["reason"] != "popular" for p in row["pits_recommended"])
        new = wanted.get(row["person_id"], set()) - set(row["pits_seen"])
        if not new:
            continue
        served += 1
        model_hits += bool(new & {p["pit"] for p in row["pits_recommended"]})
        best_sellers = [pit for pit in popular if pit not in set(row["pits_seen"])][:10]
        popular_hits += bool(new & set(best_sellers))
    assert served > 100
    assert model_hits > 1.1 * popular_hits, f"{model_hits} hits against {popular_hits} for {served} people"
    assert other_reasons >= 0.5 * len(rows)


def test_the_same_whatever_the_partitioning_and_however_many_days_are_made(
    spark: SparkSession, sampled: DataFrame
) -> None:
    days = [Samples.first_day + timedelta(days=i) for i in (3, 5)]

    def made(frame: DataFrame, asked: list[date]) -> list[Row]:
        rows = recommendations(frame, asked, ItemToItem(), window_days=4, limit=5).collect()
        spark.catalog.clearCache()
        return sorted((row for row in rows if row[PARTITION] == days[1]), key=lambda row: str(row["person_id"]))

    alone = made(sampled.repartition(1), [days[1]])
    assert alone == made(sampled.repartition(13, F.rand(3)), days)
    assert len(alone) > 100


def test_a_gate_that_should_shut_does(spark: SparkSession) -> None:
    good = [("b", 0.5, "r"), ("c", 0.4, "r")]

    def verdicts(pits: list[tuple[str, float, str]]) -> dict[str, bool]:
        frame = spark.createDataFrame([("p", ["a"], pits, [], "m", D)], RECOMMENDATIONS.partitioned_schema)
        return {v.gate: v.passed for v in gates.recommendation_verdicts(frame, [D], limit=2)[D]}

    everything = {"nothing_seen_recommended": True, "within_limit": True, "scores_in_order": True}
    assert verdicts(good) == everything
    assert verdicts([]) == everything
    assert verdicts([*good, ("d", 0.1, "r")]) == {**everything, "within_limit": False}
    assert verdicts([("a", 0.5, "r")]) == {**everything, "nothing_seen_recommended": False}
    for scores in ((0.4, 0.5), (math.nan, 0.1), (math.inf, 0.1)):
        pits = [(pit, score, "r") for pit, score in zip("bc", scores, strict=True)]
        assert verdicts(pits) == {**everything, "scores_in_order": False}, scores
