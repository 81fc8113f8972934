"""Publishing a day of a table in a bucket, where nothing can be renamed: the protocol, and who may delete what.

    <table>/visit_date=YYYY-MM-DD/part-00000.parquet            a day of one object: replaced by one request
    <table>/visit_date=YYYY-MM-DD/part-<token>-00000.parquet    the objects of a larger day
    _manifests/<table>/visit_date=YYYY-MM-DD.json               which objects are the larger day
    _staging/<table>/<token>/...                                what a run has written and not yet published
    _staging/<table>/<token>/_lease                             says that the run is alive

A larger day is copied beside the old one, then its manifest is put, on condition that nobody else has put one since
it was read; only then are the old objects deleted. Readers of this pipeline follow the manifest. A reader that only
lists may see old and new objects until the old ones are deleted, by this run or, if it is killed, by the next one of
the day. A day that has a manifest keeps it.

A run is alive while it renews its lease, on condition that nobody has deleted it: to delete it is to declare the run
dead. A run publishes a larger day only if it can still renew its lease after it has read the manifest, and whoever
deletes a dead run's objects has put a manifest since it found the run dead. So a run that was only asleep is refused:
by its lease, or by the manifest. Not here: the requests themselves (`s3`).
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime
from itertools import groupby

from botocore.exceptions import BotoCoreError, ClientError

from pit_pipeline.s3 import Bucket, Changed, Object, S3Access
from pit_pipeline.tables import PARTITION, Table
from pit_pipeline.zones import FAILED, ONE_FILE, STAGING, DayFiles, Stage, Zone

_MANIFESTS = "_manifests"
_LEASE = "_lease"
_COPIES_AT_ONCE = 16


class StageLost(Exception):
    """A run was taken for dead, because it had not renewed its lease; what it had staged is gone."""


class BucketZone(Zone):
    """The tables of one zone, below a prefix of a bucket.

    lease_seconds: how long a run that says nothing is taken to be alive; it renews its lease six times as often.
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
        folders = _by_folder(table, self.bucket.objects(f"{table.name}/{PARTITION}="))
        days = {day: [key] for day, keys in folders.items() for key in keys if key.endswith(f"/{ONE_FILE}")}
        for found in self.bucket.objects(f"{_MANIFESTS}/{table.name}/"):
            day = date.fromisoformat(found.key.rpartition("=")[2].removesuffix(".json"))
            if manifest := self.manifest(table, day):
                days[day] = manifest[0]
        return {day: self.files(keys) for day, keys in sorted(days.items())}

    def manifest(self, table: Table, day: date) -> tuple[list[str], str] | None:
        """The keys of a larger day, and the ETag of the manifest that says so."""
        found = self.bucket.get(_manifest_key(table, day))
        return (json.loads(found[0])["objects"], found[1]) if found else None

    def files(self, keys: list[str]) -> DayFiles:
        """Objects as a day's files."""
        paths, uris = (tuple(map(name, keys)) for name in (self.bucket.path, self.bucket.uri))
        return DayFiles(paths, uris, self.bucket.access.filesystem)

    @contextmanager
    def stage(self, table: Table) -> Iterator["BucketStage"]:
        """A prefix whose lease is renewed while this process lives and the stage is open."""
        self.sweep(table)
        others = self.leases(table)
        stage = BucketStage(self, table)
        try:
            yield stage
        finally:
            stage.close()
        self._sweep_silent(table, others)
        for day in stage.larger_days:
            self._collect(table, day)

    def sweep(self, table: Table) -> list[str]:
        """Remove the stages whose lease has run out or is gone, and the uploads that belong to none."""
        now = self.bucket.now()
        silent = [token for token, lease in self.leases(table).items() if self._has_run_out(lease, now)]
        self.bucket.delete(_lease_key(table, token) for token in silent)
        dead = {*silent, *self._remove_dead_stages(table)}
        return sorted(self.bucket.uri(f"{STAGING}/{table.name}/{token}") for token in dead)

    def leases(self, table: Table) -> dict[str, Object]:
        """The lease of every stage that has one, by token."""
        staged = self.bucket.objects(f"{STAGING}/{table.name}/")
        return {_token(found.key): found for found in staged if found.key.endswith(f"/{_LEASE}")}

    def _has_run_out(self, lease: Object, now: datetime) -> bool:
        return (now - lease.modified).total_seconds() > self.lease_seconds

    def _remove_dead_stages(self, table: Table) -> set[str]:
        """Remove what belongs to no stage with a lease; the tokens of what was removed."""
        prefix = f"{STAGING}/{table.name}/"
        # What is listed before the leases belongs to a stage that had its lease by then, or to a dead one.
        keys = [found.key for found in self.bucket.objects(prefix)]
        uploads = list(self.bucket.uploads(prefix))
        alive = self.leases(table)
        for key, upload in uploads:
            if _token(key) not in alive:
                self.bucket.abort(key, upload)
        dead = [key for key in keys if _token(key) not in alive]
        self.bucket.delete(dead)
        return {_token(key) for key in dead}

    def _sweep_silent(self, table: Table, others: dict[str, Object]) -> None:
        """Remove the stages that were there before this run's and whose lease was never renewed since.

        Waits for those whose lease has not yet run out: a run that was killed a moment before this one began leaves
        nothing behind either.
        """
        while True:
            now, leases = self.bucket.now(), self.leases(table)
            silent = [lease for token, lease in leases.items() if token in others and others[token].etag == lease.etag]
            if all(self._has_run_out(lease, now) for lease in silent):
                break
            time.sleep(self.lease_seconds / 12)
        self.sweep(table)

    def _collect(self, table: Table, day: date) -> None:
        """Delete the objects of a larger day that are not its own and belong to no run that is alive."""
        while current := self.manifest(table, day):
            folder, (keys, etag) = _folder(table, day), current
            found = [stored.key for stored in self.bucket.objects(folder)]
            alive = self.leases(table)
            dead = [key for key in found if key not in keys and _owner(key) not in alive]
            if not dead:
                return
            # Put anew, so that none of the dead runs that may wake up can still put its own.
            body = json.dumps({"objects": keys, "collected": uuid.uuid4().hex}).encode()
            try:
                self.bucket.put(_manifest_key(table, day), body, replaces=etag)
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
        self._renewing = threading.Lock()
        self._beats = 0
        self._lease: str | None = None
        self._closed = threading.Event()
        self.renew()
        self._heart = threading.Thread(target=self._beat, name=f"lease of {self._prefix}", daemon=True)
        self._heart.start()

    def renew(self) -> None:
        """Renew the lease. Raises StageLost when somebody has declared this run dead."""
        with self._renewing:
            self._beats += 1
            key, body = _lease_key(self.table, self.token), f"{self._beats}".encode()
            try:
                self._lease = self._bucket.put(key, body, replaces=self._lease)
            except Changed as error:
                # Nobody else writes it: what is there is an earlier renewal of which no answer was heard.
                found = self._bucket.get(key)
                if not found:
                    seconds = self._zone.lease_seconds
                    raise StageLost(f"{self.uri} was swept: its lease was not renewed for {seconds:g} s") from error
                self._lease = self._bucket.put(key, body, replaces=found[1])

    def publish(self, day: date) -> DayFiles:
        """Replace the day: by one request where old and new are one object, else by the manifest."""
        staged = self._staged_keys(day)
        only = f"{_folder(self.table, day)}{ONE_FILE}"
        if len(staged) == 1 and self._is_one_object(day):
            self._copy(staged[0], only)
            # Another run may have made it a larger day meanwhile, and it would stay so.
            if not self._zone.manifest(self.table, day):
                return self._zone.files([only])
        return self._publish_by_manifest(day, staged)

    def kept(self, day: date) -> str:
        """A prefix below `_failed`."""
        return self._bucket.uri(f"{FAILED}/{_folder(self.table, day)}")

    def keep(self, day: date) -> None:
        """Copy the day's objects there."""
        self.forget(day)
        for number, key in enumerate(self._staged_keys(day)):
            self._copy(key, f"{FAILED}/{_folder(self.table, day)}part-{number:05}.parquet")

    def forget(self, day: date) -> None:
        """Delete what is there."""
        self._bucket.delete([found.key for found in self._bucket.objects(f"{FAILED}/{_folder(self.table, day)}")])

    def close(self) -> None:
        """Stop renewing and remove what was staged, the lease last."""
        self._closed.set()
        self._heart.join()
        for key, upload in self._bucket.uploads(f"{self._prefix}/"):
            self._bucket.abort(key, upload)
        lease = _lease_key(self.table, self.token)
        self._bucket.delete([found.key for found in self._bucket.objects(f"{self._prefix}/") if found.key != lease])
        self._bucket.delete([lease])

    def _publish_by_manifest(self, day: date, staged: list[str]) -> DayFiles:
        folder = _folder(self.table, day)
        targets = {key: f"{folder}part-{self.token}-{number:05}.parquet" for number, key in enumerate(staged)}
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(self._copy, targets, targets.values()))
        mine = sorted(targets.values())
        while True:
            replaced = self._zone.manifest(self.table, day)
            self.renew()
            if not set(mine) <= {found.key for found in self._bucket.objects(folder)}:
                raise StageLost(f"objects of {self.uri} were swept while they were being published; run the day again")
            body = json.dumps({"objects": mine}).encode()
            try:
                self._bucket.put(_manifest_key(self.table, day), body, replaces=replaced[1] if replaced else None)
                break
            except Changed:
                continue
        self._bucket.delete({*(replaced[0] if replaced else ()), f"{folder}{ONE_FILE}"} - set(mine))
        self.larger_days.append(day)
        return self._zone.files(mine)

    def _is_one_object(self, day: date) -> bool:
        """Whether there is nothing of the day but the one object, if that."""
        if self._zone.manifest(self.table, day):
            return False
        folder = _folder(self.table, day)
        return {found.key for found in self._bucket.objects(folder)} <= {f"{folder}{ONE_FILE}"}

    def _staged_keys(self, day: date) -> list[str]:
        keys = [path.removeprefix(f"{self._bucket.path()}/") for path in self.files(day).paths]
        # Only now, with the lease still there, is it sure that nothing of the day had been swept when it was listed.
        self.renew()
        return keys

    def _copy(self, source: str, target: str) -> None:
        try:
            self._bucket.copy(source, target)
        except FileNotFoundError as error:
            raise StageLost(f"{error} was swept: this run was taken for dead; run the day again") from error

    def _beat(self) -> None:
        while not self._closed.wait(self._zone.lease_seconds / 6):
            try:
                self.renew()
            except StageLost:
                return  # publishing will say so
            except (BotoCoreError, ClientError):
                continue  # S3 is out of reach; the lease holds for some more beats


def _folder(table: Table, day: date) -> str:
    return f"{table.name}/{PARTITION}={day}/"


def _manifest_key(table: Table, day: date) -> str:
    return f"{_MANIFESTS}/{table.name}/{PARTITION}={day}.json"


def _lease_key(table: Table, token: str) -> str:
    return f"{STAGING}/{table.name}/{token}/{_LEASE}"


def _token(key: str) -> str:
    """The stage that a key below `_staging/<table>/` belongs to."""
    return key.split("/")[2]


def _owner(key: str) -> str:
    """The stage that made an object of a larger day."""
    return key.rpartition("/part-")[2].partition("-")[0]


def _by_folder(table: Table, found: Iterator[Object]) -> dict[date, list[str]]:
    keys = (stored.key for stored in found)
    folders = groupby(keys, lambda key: key.split("/")[1])
    return {date.fromisoformat(folder.removeprefix(f"{PARTITION}=")): list(group) for folder, group in folders}
