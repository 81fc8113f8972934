"""Publishing a day of a table in a bucket, where nothing can be renamed: the protocol, and who may delete what.

    <table>/visit_date=YYYY-MM-DD/part-00000.parquet            a day of one object: replaced by one request
    <table>/visit_date=YYYY-MM-DD/part-<token>-00000.parquet    the objects of a larger day
    _manifests/<table>/visit_date=YYYY-MM-DD.json               which objects are the larger day
    _staging/<table>/<token>/...                                what a run has written and not yet published

A larger day is copied beside the old one, then its manifest is put, on condition that nobody else has put one since
it was read; only then are the old objects deleted. Readers of this pipeline follow the manifest. A reader that only
lists may see old and new objects until the old ones are deleted, by this run or, if it is killed, by the next one of
the day. A day that has a manifest keeps it.

A run publishes a larger day only if it can still renew its lease after it has read the manifest, and whoever deletes
a dead run's objects has put a manifest since it found the run dead. So a run that was only asleep is refused: by its
lease, or by the manifest. Not here: who is alive (`leases`), the requests themselves (`s3`).
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from pit_pipeline.leases import Lease, StageLost, Stages
from pit_pipeline.s3 import Bucket, Changed, S3Access
from pit_pipeline.tables import PARTITION, Table
from pit_pipeline.zones import FAILED, ONE_FILE, STAGING, DayFiles, Stage, Zone

_MANIFESTS = "_manifests"
_COPIES_AT_ONCE = 16


class Manifest(NamedTuple):
    """The keys of a larger day, and the ETag by which the manifest can be replaced."""

    keys: list[str]
    etag: str


class BucketZone(Zone):
    """The tables of one zone, below a prefix of a bucket.

    lease_seconds: how long a run that says nothing is taken to be alive.
    """

    def __init__(self, access: S3Access, uri: str, lease_seconds: float = 60) -> None:
        self.bucket = Bucket(access, uri)
        self.lease_seconds = lease_seconds

    def root(self, table: Table) -> str:
        """Where a table lives, as Spark names it."""
        return self.bucket.uri(table.name)

    def published(self, table: Table) -> dict[date, DayFiles]:
        """The objects of every published day, in order."""
        # First the objects, then the manifests: the other way round a day that gets its first manifest in between
        # would be missed.
        sizes = {found.key: found.size for found in self.bucket.objects(f"{table.name}/{PARTITION}=")}
        days = {_day(key.split("/")[1]): [key] for key in sizes if key.endswith(f"/{ONE_FILE}")}
        for found in self.bucket.objects(f"{_MANIFESTS}/{table.name}/"):
            day = _day(found.key.rpartition("/")[2].removesuffix(".json"))
            if manifest := self.manifest(table, day):
                days[day] = manifest.keys
        return {day: self.files(keys, sum(sizes.get(key, 0) for key in keys)) for day, keys in sorted(days.items())}

    def manifest(self, table: Table, day: date) -> Manifest | None:
        """The manifest of a day, if it has one."""
        found = self.bucket.get(_manifest_key(table, day))
        return Manifest(json.loads(found[0])["objects"], found[1]) if found else None

    def put_manifest(self, table: Table, day: date, keys: list[str], replaced: Manifest | None) -> None:
        """Put a day's manifest if `replaced` is still the one there; no two are alike. Raises Changed."""
        body = json.dumps({"objects": keys, "id": uuid.uuid4().hex}).encode()
        self.bucket.put(_manifest_key(table, day), body, replaces=replaced.etag if replaced else None)

    def files(self, keys: Sequence[str], size: int) -> DayFiles:
        """Objects as a day's files; size: bytes of them all."""
        paths, uris = (tuple(map(name, keys)) for name in (self.bucket.path, self.bucket.uri))
        return DayFiles(paths, uris, size, self.bucket.access.filesystem)

    @contextmanager
    def stage(self, table: Table) -> Iterator["BucketStage"]:
        """A prefix whose lease is renewed while this process lives and the stage is open."""
        self.sweep(table)
        stages = self.stages(table)
        others = stages.alive()
        stage = BucketStage(self, table)
        try:
            yield stage
        finally:
            stage.close()
        stages.sweep_silent(others)
        for day in stage.larger_days:
            self._collect(table, day)

    def sweep(self, table: Table) -> list[str]:
        """Remove the stages of dead runs, and the uploads that belong to none."""
        return [self.bucket.uri(f"{STAGING}/{table.name}/{token}") for token in self.stages(table).sweep()]

    def stages(self, table: Table) -> Stages:
        """The stages of a table, this run's and others'."""
        return Stages(self.bucket, f"{STAGING}/{table.name}/", self.lease_seconds)

    def _collect(self, table: Table, day: date) -> None:
        """Delete the objects of a larger day that are not its own and belong to no run that is alive."""
        while current := self.manifest(table, day):
            found = [stored.key for stored in self.bucket.objects(_folder(table, day))]
            alive = self.stages(table).alive()
            dead = [key for key in found if key not in current.keys and _owner(key) not in alive]
            if not dead:
                return
            try:
                # Put anew, so that none of the dead runs that may wake up can still put its own.
                self.put_manifest(table, day, current.keys, current)
            except Changed:
                continue
            self.bucket.delete(dead)
            return


class BucketStage(Stage):
    """A stage below a prefix of the zone's own bucket."""

    def __init__(self, zone: BucketZone, table: Table) -> None:
        self.token = uuid.uuid4().hex
        self._zone, self._bucket = zone, zone.bucket
        self._prefix = f"{STAGING}/{table.name}/{self.token}"
        path, uri = self._bucket.path(self._prefix), self._bucket.uri(self._prefix)
        super().__init__(table, path, uri, self._bucket.access.filesystem)
        self.larger_days: list[date] = []
        self._lease = Lease(self._bucket, self._prefix, zone.lease_seconds)

    def publish(self, day: date) -> DayFiles:
        """Replace the day: by one request where old and new are one object, else by the manifest."""
        staged = self.files(day)
        keys = self._keys(staged)
        only = f"{_folder(self.table, day)}{ONE_FILE}"
        if len(keys) == 1 and self._is_one_object(day):
            self._copy(keys[0], only)
            # Another run may have made it a larger day meanwhile, and it would stay so.
            if not self._zone.manifest(self.table, day):
                return self._zone.files([only], staged.size)
        return self._zone.files(self._publish_by_manifest(day, keys), staged.size)

    def kept(self, day: date) -> str:
        """A prefix below `_failed`."""
        return self._bucket.uri(f"{FAILED}/{_folder(self.table, day)}")

    def keep(self, day: date) -> None:
        """Copy the day's objects there."""
        self.forget(day)
        for number, key in enumerate(self._keys(self.files(day))):
            self._copy(key, f"{FAILED}/{_folder(self.table, day)}part-{number:05}.parquet")

    def forget(self, day: date) -> None:
        """Delete what is there."""
        self._bucket.delete([found.key for found in self._bucket.objects(f"{FAILED}/{_folder(self.table, day)}")])

    def close(self) -> None:
        """Remove what was staged, the lease last."""
        self._lease.stop()
        for key, upload in self._bucket.uploads(f"{self._prefix}/"):
            self._bucket.abort(key, upload)
        lease = self._lease.key
        self._bucket.delete([found.key for found in self._bucket.objects(f"{self._prefix}/") if found.key != lease])
        self._bucket.delete([lease])

    def _publish_by_manifest(self, day: date, staged: list[str]) -> list[str]:
        folder = _folder(self.table, day)
        mine = [f"{folder}part-{self.token}-{number:05}.parquet" for number in range(len(staged))]
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(self._copy, staged, mine))
        while True:
            replaced = self._zone.manifest(self.table, day)
            self._lease.renew()
            if not set(mine) <= {found.key for found in self._bucket.objects(folder)}:
                raise StageLost(f"objects of {self.uri} were swept while they were being published; run the day again")
            try:
                self._zone.put_manifest(self.table, day, mine, replaced)
                break
            except Changed:
                continue
        old = {*(replaced.keys if replaced else ()), f"{folder}{ONE_FILE}"}
        self._bucket.delete(old - set(mine))
        self.larger_days.append(day)
        return mine

    def _is_one_object(self, day: date) -> bool:
        """Whether there is nothing of the day but the one object, if that."""
        if self._zone.manifest(self.table, day):
            return False
        folder = _folder(self.table, day)
        return {found.key for found in self._bucket.objects(folder)} <= {f"{folder}{ONE_FILE}"}

    def _keys(self, staged: DayFiles) -> list[str]:
        # Only now, with the lease still there, is it sure that nothing of the day had been swept when it was listed.
        self._lease.renew()
        return [path.removeprefix(f"{self._bucket.path()}/") for path in staged.paths]

    def _copy(self, source: str, target: str) -> None:
        try:
            self._bucket.copy(source, target)
        except FileNotFoundError as error:
            raise StageLost(f"{error} was swept: this run was taken for dead; run the day again") from error


def _folder(table: Table, day: date) -> str:
    return f"{table.name}/{PARTITION}={day}/"


def _day(folder: str) -> date:
    return date.fromisoformat(folder.removeprefix(f"{PARTITION}="))


def _manifest_key(table: Table, day: date) -> str:
    return f"{_MANIFESTS}/{table.name}/{PARTITION}={day}.json"


def _owner(key: str) -> str:
    """The stage that made an object of a larger day."""
    return key.rpartition("/part-")[2].partition("-")[0]
