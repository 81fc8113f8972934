"""S3: how it is reached, for boto3, for pyarrow and for Spark's S3A.

Here: locations, clients, credentials, retries, and a bucket with the few operations that publishing takes. Not here:
what is stored where (`zones`, `sources`).
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import pyarrow.fs
from botocore.exceptions import ClientError

SCHEME = "s3a://"

#: How Spark proves who it is. One way is said, and no other tried: Hadoop's own list has no web identity and falls
#: back to the node's role.
CREDENTIALS = {
    "pod_identity": "software.amazon.awssdk.auth.credentials.ContainerCredentialsProvider",
    "web_identity": "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider",
    "environment": "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
}

_KEYS_PER_DELETE = 1000
# boto3 makes clients and finds credentials for one thread at a time; what it has made serves many.
_making = threading.Lock()


class Changed(Exception):
    """An object was not as the writer had last seen it, so nothing was written."""


class Object(NamedTuple):
    """An object as a listing tells of it; size in bytes; modified by the server's clock."""

    key: str
    size: int
    etag: str
    modified: datetime


def is_s3(uri: str) -> bool:
    """Whether a place is in S3, and not a folder."""
    return uri.startswith(SCHEME)


def location(uri: str) -> tuple[str, str]:
    """The bucket and the prefix (empty, or ending in a slash) of `s3a://bucket/prefix`."""
    bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


@dataclass(frozen=True)
class S3Access:
    """How to reach S3; it can be sent to Spark's tasks.

    endpoint: URL of a server that is not AWS's, or empty; region: empty to leave it to the environment; credentials:
    one of CREDENTIALS, for Spark; boto3 looks for them itself.
    """

    endpoint: str = ""
    region: str = ""
    credentials: str = "pod_identity"

    def client(self) -> Any:
        """This process's client; it may be used by several threads."""
        with _making:
            return _client(self.endpoint, self.region)

    def filesystem(self) -> pyarrow.fs.FileSystem:
        """pyarrow's S3, with the credentials that boto3 has now: for use at once, since they may expire."""
        with _making:
            credentials = _session().get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else (None, None, None)
        return _filesystem(self.endpoint or None, self.region or None, *frozen[:3])

    def spark_conf(self) -> Mapping[str, str]:
        """Spark's settings for reading and writing `s3a://` by the magic committer."""
        hadoop = {
            "fs.s3a.aws.credentials.provider": CREDENTIALS[self.credentials],
            "fs.s3a.committer.name": "magic",
            "fs.s3a.committer.magic.enabled": "true",
            "mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
            "fs.s3a.connection.establish.timeout": "15s",
            "fs.s3a.connection.timeout": "60s",
            "fs.s3a.connection.request.timeout": "5m",
            "fs.s3a.attempts.maximum": "5",
            "fs.s3a.retry.limit": "5",
            "fs.s3a.input.stream.type": "classic",
        }
        if self.region:
            hadoop["fs.s3a.endpoint.region"] = self.region
        if self.endpoint:
            hadoop |= {"fs.s3a.endpoint": self.endpoint, "fs.s3a.path.style.access": "true"}
        return {
            "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
            "spark.sql.parquet.output.committer.class": (
                "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"
            ),
            **{f"spark.hadoop.{name}": value for name, value in hadoop.items()},
        }


class Bucket:
    """The objects below a prefix of a bucket; keys are given and returned without the prefix."""

    def __init__(self, access: S3Access, uri: str) -> None:
        self.name, self._prefix = location(uri)
        self.access = access
        self.client = access.client()

    def path(self, key: str = "") -> str:
        """A key as pyarrow names it: `bucket/prefix/key`."""
        return f"{self.name}/{self._prefix}{key}".rstrip("/")

    def uri(self, key: str = "") -> str:
        """A key as Spark names it."""
        return SCHEME + self.path(key)

    def objects(self, prefix: str) -> Iterator[Object]:
        """What is stored below a prefix, in the order of keys; as many pages as there are."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self._prefix + prefix)
        for page in pages:
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(self._prefix)
                yield Object(key, found["Size"], found["ETag"].strip('"'), found["LastModified"])

    def now(self) -> datetime:
        """The server's time, by which it dates objects."""
        answer = self.client.head_bucket(Bucket=self.name)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and its ETag, or None."""
        try:
            body, etag = self.open(key)
        except ClientError as error:
            if status(error) == 404:
                return None
            raise
        return body.read(), etag

    def open(self, key: str, **conditions: str) -> tuple[Any, str]:
        """A stream of an object's bytes, and its ETag; conditions: Range, IfMatch. Raises ClientError."""
        answer = self.client.get_object(Bucket=self.name, Key=self._prefix + key, **conditions)
        return answer["Body"], answer["ETag"].strip('"')

    def put(self, key: str, body: bytes, *, replaces: str | None) -> str:
        """Store an object if the one there has the ETag `replaces` (None: if there is none); its new ETag.

        Raises Changed. A request that was answered too late to be heard, and was sent again, counts as done.
        """
        condition: dict[str, Any] = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        try:
            answer = self.client.put_object(Bucket=self.name, Key=self._prefix + key, Body=body, **condition)
        except ClientError as error:
            if status(error) not in (404, 409, 412):
                raise
            found = self.get(key)
            if found and found[0] == body:
                return found[1]
            raise Changed(f"{self.uri(key)} was changed by somebody else") from error
        return str(answer["ETag"]).strip('"')

    def copy(self, source: str, target: str) -> None:
        """Copy within the bucket; the target is replaced at once. Raises FileNotFoundError."""
        from boto3.s3.transfer import TransferConfig

        # One request copies up to 5 GB; beyond, boto3 copies in parts, which become visible together.
        by_one = TransferConfig(multipart_threshold=5 * 10**9, multipart_chunksize=10**9)
        origin: Any = {"Bucket": self.name, "Key": self._prefix + source}
        try:
            self.client.copy(origin, self.name, self._prefix + target, Config=by_one)
        except ClientError as error:
            if status(error) == 404:
                raise FileNotFoundError(self.uri(source)) from error
            raise

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, whether they exist or not. Raises OSError that names what could not be deleted."""
        rest = iter(keys)
        while chunk := list(islice(rest, _KEYS_PER_DELETE)):
            wanted: Any = {"Objects": [{"Key": self._prefix + key} for key in chunk], "Quiet": True}
            failed = self.client.delete_objects(Bucket=self.name, Delete=wanted).get("Errors", [])
            if failed:
                reasons = ", ".join(f"{entry.get('Key')}: {entry.get('Code')}" for entry in failed[:3])
                raise OSError(f"{len(failed)} objects of {self.name} could not be deleted ({reasons})")

    def uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and id of every multipart upload below a prefix that has not ended."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.name, Prefix=self._prefix + prefix
        )
        for page in pages:
            for found in page.get("Uploads", []):
                yield found["Key"].removeprefix(self._prefix), found["UploadId"]

    def abort(self, key: str, upload: str) -> None:
        """End a multipart upload and free its parts; one that has ended by itself is none."""
        try:
            self.client.abort_multipart_upload(Bucket=self.name, Key=self._prefix + key, UploadId=upload)
        except ClientError as error:
            if status(error) != 404:
                raise


@lru_cache(maxsize=1)
def _session() -> Any:
    import boto3  # where there is no S3, nobody waits for it

    return boto3.Session()


@lru_cache(maxsize=4)
def _client(endpoint: str, region: str) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        s3={"addressing_style": "path"} if endpoint else {},
        max_pool_connections=32,
    )
    return _session().client("s3", endpoint_url=endpoint or None, region_name=region or None, config=config)


@lru_cache(maxsize=4)
def _filesystem(
    endpoint: str | None, region: str | None, key: str | None, secret: str | None, token: str | None
) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key=key,
        secret_key=secret,
        session_token=token,
        endpoint_override=endpoint,
        region=region,
        connect_timeout=5,
        request_timeout=60,
    )


def status(error: ClientError) -> int:
    """The HTTP status of an answer that was an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
