"""What must hold for a day before it is published; each gate is reported as that day's check result.

Gates look at what was written, by other code than the one that wrote it. Not here: what happens when one is
shut (`steps`).
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from dagster_shared.utils.warnings import PreviewWarning
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pit_pipeline.tables import DAILY_METRICS, PARTITION, RECOMMENDATIONS, VISITS

if TYPE_CHECKING:
    import pyarrow.dataset as ds


@dataclass(frozen=True)
class Verdict:
    """A gate's answer for one day: whether it is open, in one sentence, with the figures it looked at."""

    gate: str
    passed: bool
    text: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


#: Gate -> (asset, what it holds).
GATES = {
    "row_accounting": (VISITS.asset, "rows read = accepted + rejected + duplicates, each counted by itself"),
    "reject_share": (VISITS.asset, "rejected / read does not exceed the threshold"),
    "agrees_with_visits": (DAILY_METRICS.asset, "one row; visits and revenue as recomputed from the Parquet"),
    "nothing_seen_recommended": (RECOMMENDATIONS.asset, "no pit is recommended that the person saw in the window"),
    "within_limit": (RECOMMENDATIONS.asset, "at most so many pits are recommended as the setting says"),
    "scores_in_order": (RECOMMENDATIONS.asset, "scores are finite and descend"),
}


def row_accounting(read: int, accepted: int, rejected: int, duplicates: int) -> Verdict:
    """read: counted from the raw files; accepted, rejected: rows written; duplicates: rows held back."""
    total = accepted + rejected + duplicates
    text = f"{read} read, {accepted} accepted + {rejected} rejected + {duplicates} duplicates = {total}"
    figures = {"read": read, "accepted": accepted, "rejected": rejected, "duplicates": duplicates}
    return Verdict("row_accounting", read == total, text, figures)


def reject_share(read: int, rejected: int, threshold: float) -> Verdict:
    """A day without rows passes."""
    share = rejected / read if read else 0.0
    text = f"{rejected} of {read} rows rejected ({share:.2%}; the threshold is {threshold:.2%})"
    return Verdict("reject_share", share <= threshold, text, {"share": share, "threshold": threshold})


def agrees_with_visits(metrics: pa.Table, visits: "ds.Dataset") -> Verdict:
    """metrics: the day's rows as staged; visits: the day's published Parquet, recounted here by pyarrow."""
    count, revenue = 0, Decimal(0)
    for batch in visits.to_batches(columns=["bought", "price", "quantity"]):
        sold = batch.filter(batch.column("bought"))
        amounts = pc.multiply(sold.column("price"), sold.column("quantity").cast(pa.decimal128(10, 0)))
        count += batch.num_rows
        revenue += pc.sum(amounts.cast(pa.decimal128(38, 2))).as_py() or Decimal(0)
    rows = metrics.select(["pits_visited", "revenue"]).to_pylist()
    text = f"the Parquet has {count} visits and a revenue of {revenue}; daily_metrics says {_said(rows)}"
    passed = rows == [{"pits_visited": count, "revenue": revenue}]
    return Verdict("agrees_with_visits", passed, text, {"visits": count, "revenue": str(revenue)})


def _said(rows: Sequence[Mapping[str, object]]) -> str:
    return "; ".join(f"{row['pits_visited']} and {row['revenue']}" for row in rows) or "nothing"


def recommendation_verdicts(written: DataFrame, days: Sequence[date], limit: int) -> dict[date, list[Verdict]]:
    """The gates of each day's recommendations as staged (shape RECOMMENDATIONS), in one pass over all days."""
    scores = F.transform("pits_recommended", lambda p: p["score"])
    pits = F.transform("pits_recommended", lambda p: p["pit"])
    following = F.slice(scores, 2, limit + 1)
    steps = F.zip_with(F.slice(scores, 1, F.greatest(F.size(scores) - 1, F.lit(0))), following, lambda a, b: a >= b)
    # In Spark NaN is larger than any number, infinity included.
    finite = F.forall(scores, lambda s: (s < math.inf) & (s > -math.inf))
    broken = {
        "nothing_seen_recommended": F.arrays_overlap("pits_seen", pits),
        "within_limit": F.size("pits_recommended") > limit,
        "scores_in_order": ~finite | ~F.forall(steps, lambda descends: descends),
    }
    counts = {
        row[PARTITION]: row
        for row in written.groupBy(PARTITION)
        .agg(F.count("*").alias("people"), *(F.count_if(rule).alias(gate) for gate, rule in broken.items()))
        .collect()
    }
    return {
        day: [_people_verdict(gate, counts[day][gate], counts[day]["people"]) for gate in broken]
        if day in counts
        else [_people_verdict(gate, 0, 0) for gate in broken]
        for day in days
    }


def _people_verdict(gate: str, broken: int, people: int) -> Verdict:
    return Verdict(gate, broken == 0, f"broken for {broken} of {people} people", {"broken": broken, "people": people})


def check_specs(partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """The gates as Dagster lists them on their assets."""
    with warnings.catch_warnings():
        # Dagster calls partitions of checks a preview; without them there is no result by day.
        warnings.simplefilter("ignore", PreviewWarning)
        return [
            dg.AssetCheckSpec(gate, asset=asset, description=text, partitions_def=partitions)
            for gate, (asset, text) in GATES.items()
        ]
