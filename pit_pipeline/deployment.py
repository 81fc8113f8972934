"""From a deployment's settings to what they choose: the landing zone, the tables, Spark.

Whether a zone is a folder or a bucket is decided here and in the IO manager, by the zone's URI, and nowhere else.
"""

from dagster_pyspark import LazyPySparkResource

from pit_pipeline.io_manager import ParquetTables
from pit_pipeline.landing import Landing
from pit_pipeline.s3 import S3Access, is_s3
from pit_pipeline.settings import Settings
from pit_pipeline.sources import source
from pit_pipeline.spark import spark_resource


def s3_access(settings: Settings) -> S3Access:
    """How this deployment reaches S3, should it have zones there."""
    return S3Access(settings.s3_endpoint, settings.aws_region, settings.aws_credentials)


def landing_zone(settings: Settings) -> Landing:
    """The landing zone."""
    return Landing(source(settings.landing_uri, s3_access(settings)))


def parquet_tables(settings: Settings) -> ParquetTables:
    """The tables of the other two zones."""
    return ParquetTables(
        processing_uri=settings.processing_uri,
        consumer_uri=settings.consumer_uri,
        s3_endpoint=settings.s3_endpoint,
        aws_region=settings.aws_region,
        spark=_spark(settings),
    )


def _spark(settings: Settings) -> LazyPySparkResource:
    in_s3 = any(map(is_s3, (settings.processing_uri, settings.consumer_uri)))
    s3 = s3_access(settings).spark_conf() if in_s3 else {}
    return spark_resource({**s3, **settings.spark_conf})
