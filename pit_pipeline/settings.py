"""The settings of a deployment: what differs between a laptop and AWS, and nothing else.

Here: names, meanings, defaults and checks of every setting; the only place that reads the environment.
Not here: anything that acts on a setting.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PREFIX = "PIT_"


class BadSetting(Exception):
    """A setting that is wrong or unknown; the message names it and says what would be right."""


class Settings(BaseModel):
    """One deployment. Every field is read from the variable PIT_<FIELD>; none has to be set locally."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspace: Path = Field(
        Path("workspace"),
        description="folder of the local deployment: its zones and Dagster's own state",
    )
    landing_uri: str = Field(
        "",
        description="landing zone, a folder or a place in S3; default <workspace>/landing",
        examples=["s3a://shop-landing"],
    )
    processing_uri: str = Field(
        "",
        description="processing zone, a folder or a place in S3; default <workspace>/processing",
        examples=["s3a://shop-processing"],
    )
    consumer_uri: str = Field(
        "",
        description="consumer zone, a folder or a place in S3; default <workspace>/consumer",
        examples=["s3a://shop-consumer"],
    )
    aws_region: str = Field(
        "",
        description="AWS region of the buckets, the Glue database and the Athena workgroup",
        examples=["sa-east-1"],
    )
    aws_credentials: Literal["pod_identity", "web_identity", "environment"] = Field(
        "pod_identity",
        description="how Spark proves to S3 who it is: EKS Pod Identity, IRSA, or the variables AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY",
    )
    s3_endpoint: str = Field("", description="URL of an S3 server that is not AWS's", examples=["http://s3.local:7070"])
    timezone: str = Field("America/Sao_Paulo", description="time zone of the business: when a day begins and ends")
    first_day: date = Field(
        date(2024, 1, 1),
        description="first day of the partitions; the commands here take the first day that has landed",
    )
    reject_threshold: float = Field(
        0.05, ge=0, le=1, description="share of a day's rows that may be rejected before the day fails"
    )
    window_days: int = Field(
        90, ge=1, le=366, description="days that recommendations look back, the day itself included"
    )
    recommendations_per_person: int = Field(10, ge=1, le=100, description="the most pits recommended to a person")
    quiet_seconds: int = Field(300, ge=0, description="how long a day's files must be unchanged before they are run")
    deadline_hour: int = Field(
        6, ge=0, le=23, description="hour of the business's day at which the day before must have been made"
    )
    rows_per_file: int = Field(
        5_000_000, ge=1, description="landed rows of a day from which its visits become several files"
    )
    days_per_run: int = Field(31, ge=1, description="the most days that one run of a backfill or of the sensor makes")
    automation: bool = Field(False, description="whether the sensors and the deadline schedule start switched on")
    spark_conf: dict[str, str] = Field(
        {},
        description="Spark settings to add or override, as a JSON object",
        examples=['{"spark.driver.memory": "4g"}'],
    )
    glue_database: str = Field(
        "",
        description="Glue database that Athena queries and the crawlers fill; empty: SQL by DuckDB, no crawlers",
        examples=["pits"],
    )
    athena_workgroup: str = Field(
        "", description="Athena workgroup that queries run in; it says where results go", examples=["pits"]
    )
    crawl_minutes: int = Field(30, ge=1, description="how long a crawl may take before it is stopped and tried again")
    executor: Literal["in_process", "k8s_job"] = Field(
        "in_process",
        description="where a run's step works: in the run's own process, or as a Kubernetes Job of its own",
        examples=["k8s_job"],
    )
    k8s_namespace: str = Field("", description="namespace of step and Spark executor pods", examples=["pit-pipeline"])
    k8s_image: str = Field("", description="image of step and Spark executor pods", examples=["pit-pipeline:0.1.0"])
    k8s_step_service_account: str = Field(
        "", description="service account of step pods, which make executor pods", examples=["pit-pipeline-step"]
    )
    k8s_executor_service_account: str = Field(
        "", description="service account of Spark executor pods", examples=["pit-pipeline-executor"]
    )
    k8s_executor_template: str = Field(
        "",
        description="file in step pods with the pod template of Spark executors",
        examples=["/etc/pit-pipeline/executor.yaml"],
    )
    k8s_pod_name: str = Field("", description="name of the step's pod; Kubernetes gives it", examples=["step-1"])
    k8s_pod_ip: str = Field("", description="address of the step's pod; Kubernetes gives it", examples=["10.0.0.7"])
    k8s_step_cpu: float = Field(2, gt=0, description="cores that a step's pod asks for; it may use more that are idle")
    k8s_step_memory_mb: int = Field(
        6144, ge=1536, description="memory of a step's pod in MiB, Spark's heap and Python included"
    )
    k8s_step_hours: float = Field(
        6, gt=0, description="hours after which a step's Job is ended, its wait for a pod included, and tried again"
    )
    k8s_executors: int = Field(
        4, ge=0, description="the most Spark executor pods that a step may have; 0: every step works alone"
    )
    k8s_executors_from_mb: int = Field(
        2048, ge=0, description="MiB that a step reads (landed files, published visits) from which it gets executors"
    )
    k8s_executor_cores: int = Field(2, ge=1, description="cores of a Spark executor pod: the tasks it does at once")
    k8s_executor_memory_mb: int = Field(
        6144, ge=1024, description="memory of a Spark executor pod in MiB, heap and Python included"
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a time zone; use a name such as America/Sao_Paulo or UTC") from error
        return name

    @field_validator("aws_region")
    @classmethod
    def _region_name(cls, name: str) -> str:
        if name and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]+", name):
            raise ValueError("not an AWS region; use a name such as sa-east-1")
        return name

    @field_validator("glue_database")
    @classmethod
    def _database_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9_]*", name):
            raise ValueError("not a name that Athena takes unquoted; use a-z, 0-9 and _")
        return name

    @field_validator("spark_conf", mode="before")
    @classmethod
    def _json_object(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not a JSON object: {error}") from error

    @model_validator(mode="before")
    @classmethod
    def _zones_in_workspace(cls, values: dict[str, Any]) -> dict[str, Any]:
        workspace = Path(values.get("workspace") or cls.model_fields["workspace"].default).absolute()
        zones = {
            name: _place(str(values.get(name) or workspace / zone))
            for zone in ("landing", "processing", "consumer")
            for name in [f"{zone}_uri"]
        }
        return {**values, "workspace": workspace, **zones}

    @field_validator("landing_uri", "processing_uri", "consumer_uri")
    @classmethod
    def _known_place(cls, uri: str) -> str:
        if "://" in uri and not _S3_PLACE.fullmatch(uri):
            raise ValueError("neither a folder nor s3a://bucket or s3a://bucket/prefix")
        return uri

    @model_validator(mode="after")
    def _nothing_is_missing(self) -> "Settings":
        for name, other in (
            ("athena_workgroup", "glue_database"),
            ("aws_region", "glue_database"),
            ("glue_database", "athena_workgroup"),
        ):
            if getattr(self, other) and not getattr(self, name):
                raise ValueError(f"{PREFIX}{name.upper()} has to be set where {PREFIX}{other.upper()} is")
        zones = ("landing_uri", "processing_uri", "consumer_uri")
        in_s3 = [name for name in zones if "://" in getattr(self, name)]
        if in_s3 and not self.aws_region:
            raise ValueError(f"{PREFIX}AWS_REGION has to be set where {PREFIX}{in_s3[0].upper()} is in S3")
        if self.executor == "k8s_job" and (
            unset := [name for name in _NEEDED_ON_KUBERNETES if not getattr(self, name)]
        ):
            missing = ", ".join(f"{PREFIX}{name.upper()}" for name in unset)
            raise ValueError(f"{missing} has to be set where {PREFIX}EXECUTOR is k8s_job")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Settings from variables named PIT_*. Raises BadSetting that names each wrong or unknown one."""
        environment = os.environ if environment is None else environment
        given = {
            name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise BadSetting("\n".join(_explained(e["loc"], e) for e in error.errors())) from error

    def environment(self) -> dict[str, str]:
        """The variables that give these settings to another process."""
        values = self.model_dump(mode="json")
        return {
            f"{PREFIX}{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in values.items()
        }


_NEEDED_ON_KUBERNETES = (
    "k8s_namespace",
    "k8s_image",
    "k8s_step_service_account",
    "k8s_executor_service_account",
    "k8s_executor_template",
)
_S3_PLACE = re.compile(r"s3a://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/]+)*")


def _place(uri: str) -> str:
    """A zone's URI as everybody here spells it: an absolute folder, or `s3a://...` without a last slash."""
    if "://" in uri:
        return re.sub("^s3://", "s3a://", uri).rstrip("/")
    return str(Path(uri).absolute())


def _explained(where: tuple[int | str, ...], error: Mapping[str, Any]) -> str:
    if not where:  # of the settings together; the message names them
        return str(error["ctx"]["error"])
    name = str(where[0])
    if error["type"] == "extra_forbidden":
        known = ", ".join(f"{PREFIX}{field.upper()}" for field in Settings.model_fields)
        return f"{PREFIX}{name.upper()} is not a setting; there are {known}"
    meaning = Settings.model_fields[name].description
    return f"{PREFIX}{name.upper()}={error['input']!r}: {error['msg']} ({meaning})"
