"""A model: people who visited this pit also visited those.

Item-to-item collaborative filtering (Linden, Smith and York, "Amazon.com Recommendations: Item-to-Item
Collaborative Filtering", IEEE Internet Computing 7(1), 2003) with the cosine similarity and the truncated
neighbourhoods of Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001. A pit's
vector has, per person, the weight of the person's last visit there: 1 today, one half after `half_weight_days`. A
constant in the similarity's denominator keeps a pair seen once from outranking one seen often.

Of a person only the `profile_size` pits visited last count, since the pairs of pits grow with its square.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

CO_VISITED = "co_visited"

_UNIT = 1 << 10  # the weight of a visit today: weights are integers, so that sums are exact in any order
_TERM = 1 << 30  # the resolution of the terms of a score, integers for the same reason


@dataclass(frozen=True)
class ItemToItem:
    """See the module. shrinkage: the constant in the denominator, in people of full weight."""

    half_weight_days: int = 30
    profile_size: int = 30
    neighbours: int = 20
    shrinkage: float = 5.0

    @property
    def name(self) -> str:
        """Name and version."""
        return "item-to-item 1"

    def scores(self, interactions: DataFrame) -> DataFrame:
        """See `recommendations.Model`."""
        weight = F.floor(F.lit(_UNIT * self.half_weight_days) / (F.col("age") + self.half_weight_days))
        profiles = interactions.where(F.col("recency") <= self.profile_size).select(
            "as_of", "person_id", "pit", weight.alias("weight")
        )
        term = F.round(F.col("weight") * F.col("similarity") * (_TERM // _UNIT)).cast("bigint")
        return (
            profiles.join(self._similar(profiles), ["as_of", "pit"])
            .select("as_of", "person_id", F.col("neighbour").alias("pit"), term.alias("term"))
            .repartition("as_of", "person_id")
            .groupBy("as_of", "person_id", "pit")
            .agg((F.sum("term") / _TERM).alias("score"))
            .withColumn("reason", F.lit(CO_VISITED))
        )

    def _similar(self, profiles: DataFrame) -> DataFrame:
        """The pits most similar to each: as_of, pit, neighbour, similarity."""
        lengths = profiles.groupBy("as_of", "pit").agg(F.sqrt(F.sum(F.col("weight") * F.col("weight"))).alias("length"))
        other = profiles.select("as_of", "person_id", F.col("pit").alias("neighbour"), F.col("weight").alias("other"))
        together = (
            profiles.join(other, ["as_of", "person_id"])
            .where(F.col("pit") < F.col("neighbour"))
            .groupBy("as_of", "pit", "neighbour")
            .agg(F.sum(F.col("weight") * F.col("other")).alias("together"))
        )
        other_lengths = lengths.select("as_of", F.col("pit").alias("neighbour"), F.col("length").alias("other_length"))
        denominator = F.col("length") * F.col("other_length") + self.shrinkage * _UNIT * _UNIT
        pairs = (
            together.join(lengths, ["as_of", "pit"])
            .join(other_lengths, ["as_of", "neighbour"])
            .withColumn("similarity", F.col("together") / denominator)
        )
        # A pair was counted once, the lesser pit first; it makes each the other's neighbour.
        both = F.array(
            F.struct("pit", "neighbour"), F.struct(F.col("neighbour").alias("pit"), F.col("pit").alias("neighbour"))
        )
        mirrored = pairs.select("as_of", "similarity", F.inline(both))
        nearest = F.row_number().over(Window.partitionBy("as_of", "pit").orderBy(F.desc("similarity"), "neighbour"))
        return mirrored.withColumn("nearest", nearest).where(F.col("nearest") <= self.neighbours).drop("nearest")
