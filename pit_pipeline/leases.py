"""Which runs are alive in a bucket, where nothing can be locked, and the removal of what dead ones left.

    _staging/<table>/<token>/_lease     says that the run which stages here is alive

A run is alive while it renews its lease, on condition that nobody has deleted it: to delete it is to declare the run
dead. A lease that has run out is deleted first, then what was staged beside it; a run that was only asleep finds its
lease gone. Not here: what a stage holds and how it is published (`bucket_zones`).
"""

import threading
import time
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from pit_pipeline.s3 import Bucket, Changed, Object

_LEASE = "_lease"


class StageLost(Exception):
    """A run was taken for dead, because it had not renewed its lease; what it had staged is gone."""


class Lease:
    """A stage's lease, renewed six times while it would hold, until `stop`; prefix: the stage's, without a slash."""

    def __init__(self, bucket: Bucket, prefix: str, seconds: float) -> None:
        self._bucket = bucket
        self.key = f"{prefix}/{_LEASE}"
        self._seconds = seconds
        self._renewing = threading.Lock()
        self._beats = 0
        self._etag: str | None = None
        self._stopped = threading.Event()
        self.renew()
        self._heart = threading.Thread(target=self._beat, name=f"lease {self.key}", daemon=True)
        self._heart.start()

    def renew(self) -> None:
        """Renew it now. Raises StageLost when somebody has declared this run dead."""
        with self._renewing:
            self._beats += 1
            body = f"{self._beats}".encode()
            try:
                self._etag = self._bucket.put(self.key, body, replaces=self._etag)
            except Changed as error:
                # Nobody else writes it: what is there is an earlier renewal of which no answer was heard.
                found = self._bucket.get(self.key)
                if not found:
                    stage = self._bucket.uri(self.key.removesuffix(f"/{_LEASE}"))
                    raise StageLost(f"{stage} was swept: its lease was not renewed for {self._seconds:g} s") from error
                self._etag = self._bucket.put(self.key, body, replaces=found[1])

    def stop(self) -> None:
        """Renew it no more."""
        self._stopped.set()
        self._heart.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds / 6):
            try:
                self.renew()
            except StageLost:
                return  # publishing will say so
            except (BotoCoreError, ClientError):
                continue  # S3 is out of reach; the lease holds for some more beats


class Stages:
    """The stages of one table: those below a prefix that ends in a slash, told apart by the next part of the key.

    seconds: how long a run that says nothing is taken to be alive.
    """

    def __init__(self, bucket: Bucket, prefix: str, seconds: float) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._seconds = seconds

    def alive(self) -> dict[str, Object]:
        """The lease of every stage that has one, by token."""
        staged = self._bucket.objects(self._prefix)
        return {self._token(found.key): found for found in staged if found.key.endswith(f"/{_LEASE}")}

    def sweep(self) -> list[str]:
        """Remove the stages whose lease has run out or is gone, and the uploads that belong to none; their tokens."""
        now = self._bucket.now()
        silent = {token: lease.key for token, lease in self.alive().items() if self._has_run_out(lease, now)}
        self._bucket.delete(silent.values())
        # What is listed before the leases belongs to a stage that had its lease by then, or to a dead one.
        keys = [found.key for found in self._bucket.objects(self._prefix)]
        uploads = list(self._bucket.uploads(self._prefix))
        alive = self.alive()
        for key, upload in uploads:
            if self._token(key) not in alive:
                self._bucket.abort(key, upload)
        dead = [key for key in keys if self._token(key) not in alive]
        self._bucket.delete(dead)
        return sorted({*silent, *map(self._token, dead)})

    def sweep_silent(self, before: dict[str, Object]) -> None:
        """Remove the stages that were alive before and whose lease has not been renewed since.

        Waits for those whose lease has not yet run out: a run that was killed a moment before this one began leaves
        nothing behind either.
        """
        while before:
            now, alive = self._bucket.now(), self.alive()
            silent = [lease for token, lease in alive.items() if token in before and before[token].etag == lease.etag]
            if all(self._has_run_out(lease, now) for lease in silent):
                if silent:
                    self.sweep()
                return
            time.sleep(self._seconds / 12)

    def _has_run_out(self, lease: Object, now: datetime) -> bool:
        return (now - lease.modified).total_seconds() > self._seconds

    def _token(self, key: str) -> str:
        return key.removeprefix(self._prefix).partition("/")[0]
