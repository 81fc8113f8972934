"""What has landed in a bucket: listing, fingerprints by ETag, reading, and the sensor on it."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pit_pipeline.landing import BadDay, Landing
from pit_pipeline.sources import BucketSource
from pit_pipeline_tests.conftest import HEADER, Deployment, many_days, visit
from pit_pipeline_tests.s3_server import REGION, S3Server
from pit_pipeline_tests.test_automation import days_of, evaluate

DAY = date(2024, 1, 1)


class Bucket:
    """A landing zone in a bucket of its own, below a prefix."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.uri = f"{server.new_bucket()}/shop"
        self.landing = Landing(BucketSource(server.access, self.uri))
        self._client = server.access.client()
        self._place = {"Bucket": self.uri.split("/")[2]}

    def put(self, content: str | bytes, name: str = "a.csv", day: object = DAY) -> None:
        body = content.encode() if isinstance(content, str) else content
        self._client.put_object(**self._place, Key=self._key(name, day), Body=body)

    def delete(self, name: str, day: object = DAY) -> None:
        self._client.delete_object(**self._place, Key=self._key(name, day))

    def _key(self, name: str, day: object) -> str:
        return f"shop/visits/visit_date={day}/{name}"


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return Bucket(s3_server)


def test_what_landed_is_counted_and_other_names_are_listed(bucket: Bucket) -> None:
    bucket.put(gzip.compress((HEADER + visit() * 3).encode()), "b.csv.gz")
    bucket.put(HEADER)
    for name in ("a.csv.part", ".hidden.csv", "deeper/c.csv"):
        bucket.put("half", name)
    bucket.put("", "")  # the mark that some tools make of a folder
    landed = bucket.landing.scan(DAY)
    assert [(file.name, file.records) for file in landed.files] == [("a.csv", 0), ("b.csv.gz", 3)]
    assert landed.ignored == ("", ".hidden.csv", "a.csv.part", "deeper/c.csv")
    assert landed.fingerprint == bucket.landing.fingerprint(DAY)
    assert bucket.landing.days() == [DAY]


def test_a_day_without_files_and_a_bad_file_are_named_by_their_keys(bucket: Bucket) -> None:
    with pytest.raises(
        BadDay, match=f"no visits have landed for {DAY}: .* under {bucket.uri}/visits/visit_date={DAY}/"
    ):
        bucket.landing.scan(DAY)
    bucket.put("")
    bucket.put(gzip.compress((HEADER + visit() * 100).encode())[:-8], "b.csv.gz")
    with pytest.raises(BadDay) as error:
        bucket.landing.scan(DAY)
    assert f"{bucket.uri}/visits/visit_date={DAY}/a.csv: is empty, not even a header" in str(error.value)
    assert "b.csv.gz: is a broken gzip" in str(error.value)


def test_a_file_that_goes_between_listing_and_reading_fails_its_day_by_name(bucket: Bucket) -> None:
    bucket.put(HEADER)
    with bucket.server.hold(r"GET .*/a\.csv") as request, ThreadPoolExecutor() as pool:
        scanned = pool.submit(bucket.landing.scan, DAY)
        request.wait()
        bucket.delete("a.csv")
        request.release()
        with pytest.raises(BadDay, match=r"a\.csv cannot be read: no such object"):
            scanned.result()


def test_thousands_of_keys_are_listed_page_by_page(bucket: Bucket) -> None:
    days = many_days(60)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: bucket.put("", f"{i // 60}.csv", days[i % 60]), range(1200)))
    before = len(bucket.server.requests)
    listing = bucket.landing.listing()
    assert [str(day) for day in sorted(listing)] == days
    assert sum(map(len, listing.values())) == 1200
    assert len([request for request in bucket.server.requests[before:] if "list-type=2" in request]) == 2


def test_a_download_that_breaks_off_goes_on_where_it_was(bucket: Bucket) -> None:
    bucket.put(HEADER + visit() * 20_000)
    with bucket.server.hold(r"GET .*/a\.csv", halved=True) as request:
        assert bucket.landing.scan(DAY).records == 20_000
        assert request.arrived.is_set()


def test_a_download_that_breaks_off_does_not_go_on_with_another_object(bucket: Bucket) -> None:
    bucket.put(HEADER + visit() * 20_000)
    ((path, etag),) = [(file.path, file.etag) for file in bucket.landing.source.files("visits/")]
    with bucket.server.hold(r"GET .*/a\.csv", halved=True), bucket.landing.source.open(path) as stream:
        stream.read(100)
        bucket.put(HEADER + visit() * 20_001)
        assert stream.content_id() == etag
        with pytest.raises(OSError, match="it changed while it was being read"):
            stream.drain()


def test_the_sensor_sees_rewritten_deleted_and_same_second_files(
    bucket: Bucket, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    deployment = Deployment(
        tmp_path, instance, quiet_seconds=0, landing_uri=bucket.uri,
        s3_endpoint=bucket.server.endpoint, aws_region=REGION,
    )  # fmt: skip
    other = many_days(2)[1]
    bucket.put(HEADER + visit(pit="a"))
    bucket.put(HEADER, day=other)
    result = evaluate(deployment, None)
    assert days_of(result) == [str(DAY), other]
    assert days_of(evaluate(deployment, result.cursor)) == []
    for content, name in (
        (HEADER + visit(pit="b"), "a.csv"), (HEADER, "b.csv"), (HEADER + visit(), "b.csv"), (None, "b.csv"),
    ):  # fmt: skip
        bucket.delete(name) if content is None else bucket.put(content, name)
        result = evaluate(deployment, result.cursor)
        assert days_of(result) == [str(DAY)]
        assert days_of(evaluate(deployment, result.cursor)) == []
    before = len(bucket.server.requests)
    evaluate(deployment, result.cursor)
    assert not [request for request in bucket.server.requests[before:] if ".csv" in request], (
        "it lists and reads nothing"
    )
