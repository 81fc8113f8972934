"""The Spark session: the one place that builds it.

Here: the settings that every deployment shares, and the laptop's. What a deployment adds or overrides is the
setting PIT_SPARK_CONF.
"""

import os
import sys
from collections.abc import Mapping
from importlib import resources

from dagster_pyspark import LazyPySparkResource
from pyspark.sql import SparkSession

from pit_pipeline.java import use_java

_SHARED = {
    "spark.app.name": "pit_pipeline",
    # Days are the business's own; nothing may shift a wall time.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    # Said, since Spark prefers another committer as soon as its S3 modules are there.
    "spark.sql.sources.commitProtocolClass": (
        "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"
    ),
    "spark.sql.parquet.output.committer.class": "org.apache.parquet.hadoop.ParquetOutputCommitter",
    # A window of days is one listing on the driver, not a Spark job of its own.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
}
_LAPTOP = {
    "spark.master": "local[*]",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
    # Joins here turn few rows into many: small input is no reason to leave a core idle.
    "spark.sql.adaptive.coalescePartitions.minPartitionSize": "64k",
}

#: For a session that lives a minute on little data: what would only pay later is not compiled.
SHORT_LIVED = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "2",
}


def spark_resource(overrides: Mapping[str, str]) -> LazyPySparkResource:
    """dagster-pyspark's lazy resource: a session starts in the step that first asks for it, not before."""
    quiet = resources.files("pit_pipeline") / "log4j2.properties"
    # With few cores the parallel collector leaves more of them to the work than the default one.
    java = {"spark.driver.defaultJavaOptions": f"-XX:+UseParallelGC -Dlog4j2.configurationFile=file:{quiet}"}
    return LazyPySparkResource(spark_config={**_SHARED, **_LAPTOP, **java, **overrides})


def session(spark: LazyPySparkResource) -> SparkSession:
    """The resource's session, on a Java and a Python that are known to fit."""
    use_java()
    # Spark's Python workers must be the driver's own interpreter.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    started: SparkSession = spark.spark_session
    return started
