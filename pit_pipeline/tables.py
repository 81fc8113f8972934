"""The table registry: every Parquet table, its columns and what they mean, written once.

Writing, reading, checks, SQL views, the UI's column schema and the tables in the docs all derive from it.
Not here: how the rows are made (`transforms`) or where a zone lives (`settings`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import dagster as dg
import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
)

PARTITION = "visit_date"

#: Why a row may be rejected, in the order in which a row's reasons are listed.
REASONS = ("fields", "encoding", "pit", "hour", "minute", "bought", "price", "quantity", "bought_quantity")


class Column(NamedTuple):
    """A column as a catalog holds it; type: in the catalog's own words."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A table, partitioned by day.

    zone: `processing` or `consumer`; asset: the asset that makes it; schema: its columns without the
    partition, each with a comment; private: columns that say who a person is, kept out of metadata.
    """

    name: str
    zone: str
    asset: str
    description: str
    schema: StructType
    private: frozenset[str] = frozenset()

    @property
    def partitioned_schema(self) -> StructType:
        """The columns and, last, the partition."""
        partition = StructField(PARTITION, DateType(), False, {"comment": "the day, by the business's time zone"})
        return StructType([*self.schema.fields, partition])

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns as pyarrow's types, the partition not among them."""
        return to_arrow_schema(self.schema)

    @property
    def partitioned_arrow_schema(self) -> pa.Schema:
        """The columns and the partition as pyarrow's types."""
        return to_arrow_schema(self.partitioned_schema)

    @property
    def hive_columns(self) -> list[Column]:
        """The columns as Glue and Athena declare them, the partition not among them."""
        return [_hive_column(field) for field in self.schema.fields]

    @property
    def hive_partition_keys(self) -> list[Column]:
        """The partition as Glue and Athena declare it."""
        return [_hive_column(self.partitioned_schema.fields[-1])]

    @property
    def column_schema(self) -> dg.TableSchema:
        """The columns as Dagster's UI shows them."""
        return dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=field.name,
                    type=field.dataType.simpleString(),
                    description=comment(field),
                    constraints=dg.TableColumnConstraints(nullable=field.nullable),
                )
                for field in self.partitioned_schema.fields
            ]
        )


def comment(field: StructField) -> str:
    """What a column means."""
    return str(field.metadata["comment"])


def _hive_column(field: StructField) -> Column:
    # Hive's timestamp has no zone, which is what Spark calls timestamp_ntz; all other names are the same.
    return Column(field.name, field.dataType.simpleString().replace("timestamp_ntz", "timestamp"), comment(field))


def _column(name: str, data_type: DataType, text: str, *, null: bool = False) -> StructField:
    return StructField(name, data_type, null, {"comment": text})


_PIT_LIST = ArrayType(
    StructType(
        [
            StructField("pit", StringType(), False),
            StructField("score", DoubleType(), False),
            StructField("reason", StringType(), False),
        ]
    ),
    False,
)

VISITS = Table(
    name="visits",
    zone="processing",
    asset="visits_parquet",
    description="The visits of a day: typed, checked, exact duplicates kept once.",
    schema=StructType(
        [
            _column("person_id", StringType(), "who visited; null for an unidentified visitor", null=True),
            _column("person_name", StringType(), "the person's name, where given", null=True),
            _column("pit", StringType(), "the point of the shop that was visited"),
            _column("pit_category", StringType(), "the pit's category, where given", null=True),
            _column("visited_at", TimestampNTZType(), "local wall time of the visit"),
            _column("bought", BooleanType(), "whether the visit ended in a purchase"),
            _column("price", DecimalType(12, 2), "price of one unit at the time of the visit"),
            _column("quantity", IntegerType(), "units; at least 1 where bought"),
            _column("source_file", StringType(), "the landed file that the row came from"),
        ]
    ),
    private=frozenset({"person_id", "person_name"}),
)

REJECTED_VISITS = Table(
    name="rejected_visits",
    zone="processing",
    asset="visits_parquet",
    description="The landed rows of a day that break a rule of the contract, each with every reason.",
    schema=StructType(
        [
            _column("record", StringType(), "the row as JSON by the file's header; raw text where fields do not match"),
            _column("reasons", ArrayType(StringType(), False), f"every rule that it breaks: {', '.join(REASONS)}"),
            _column("source_file", StringType(), "the landed file that the row came from"),
        ]
    ),
    private=frozenset({"record"}),
)

DAILY_METRICS = Table(
    name="daily_metrics",
    zone="consumer",
    asset="daily_metrics",
    description="One row per day: how the day went.",
    schema=StructType(
        [
            _column("people_identified", LongType(), "distinct person_id among the day's visits"),
            _column("pits_visited", LongType(), "number of visits"),
            _column("distinct_pits_visited", LongType(), "distinct pits among visits"),
            _column("purchases", LongType(), "visits that ended in a purchase"),
            _column("pits_sold", LongType(), "units sold"),
            _column("distinct_pits_sold", LongType(), "distinct pits among purchases"),
            _column("revenue", DecimalType(38, 2), "sum of price x quantity of the purchases"),
            _column("conversion_rate", DoubleType(), "purchases / visits; null on an empty day", null=True),
            _column(
                "average_ticket", DecimalType(38, 2), "revenue / purchases, half-up; null without purchases", null=True
            ),
        ]
    ),
)

RECOMMENDATIONS = Table(
    name="recommendations",
    zone="consumer",
    asset="recommendations",
    description="One row per identified person seen in the look-back window that ends with the day.",
    schema=StructType(
        [
            _column("person_id", StringType(), "the person"),
            _column("pits_seen", ArrayType(StringType(), False), "distinct pits visited in the window, latest first"),
            _column("pits_recommended", _PIT_LIST, "pits not seen in the window, best first: pit, score, reason"),
            _column("pits_to_revisit", _PIT_LIST, "pits seen but not bought in the window, best first"),
            _column("model", StringType(), "name and version of the model"),
        ]
    ),
    private=frozenset({"person_id"}),
)

TABLES = (VISITS, REJECTED_VISITS, DAILY_METRICS, RECOMMENDATIONS)
