"""Where landed files lie: a folder or a bucket, which is read and never written.

Here: listing files and reading their bytes, with an id that tells whether the content is still the same. Not here:
which files count and what is in them (`landing`).
"""

import errno
import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from pit_pipeline.s3 import Bucket, S3Access, is_s3, status

_BROKEN = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_READS_AGAIN = 4
_PERMANENT = {
    403: (errno.EACCES, "access denied"),
    404: (errno.ENOENT, "no such object"),
    412: (errno.ESTALE, "it changed while it was being read"),
}


@dataclass(frozen=True)
class Listed:
    """A file as a listing tells of it.

    name: its path below the source; path: what opens it; changed_at: seconds since the epoch; version: changes with
    every rewrite; etag: S3's id of the content, None for a file.
    """

    name: str
    path: str
    size: int
    changed_at: float
    version: str
    etag: str | None = None


class Stream(io.RawIOBase):
    """The bytes of a file; when all are read, how many there were and an id of them.

    It can be read on when it has been closed, which readers on top of it do as soon as they are done; the file itself
    is closed at the end of `Source.open`.
    """

    size = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def content_id(self) -> str:
        """The same for the same content, once it has been read to the end."""
        raise NotImplementedError

    def drain(self) -> None:
        """Read what is left."""
        buffer = memoryview(bytearray(1 << 20))
        while self.readinto(buffer):
            pass


class Source(Protocol):
    """A folder or a bucket's prefix, with what takes to read it; it can be sent to Spark's tasks."""

    @property
    def uri(self) -> str:
        """Where it is."""

    def files(self, below: str) -> Iterator[Listed]:
        """The files below a name that ends in a slash, at any depth; none if there is no such place."""

    def open(self, path: str) -> AbstractContextManager[Stream]:
        """Read a listed file. Raises OSError."""

    def content_id(self, file: Listed) -> str:
        """What `Stream.content_id` would give for the file as it is now."""


def source(uri: str, access: S3Access) -> Source:
    """The source at a place: `s3a://bucket/prefix` or a folder."""
    return BucketSource(access, uri) if is_s3(uri) else FolderSource(uri)


@dataclass(frozen=True)
class FolderSource:
    """Files in a folder; the id of a content is its SHA-256."""

    uri: str

    def files(self, below: str) -> Iterator[Listed]:
        """The regular files, by name."""
        for path in sorted((Path(self.uri) / below).rglob("*")):
            if path.is_file():
                stat = path.stat()
                # The change time and the inode also tell of a rewrite that put size and modification time back.
                version = f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"
                name = path.relative_to(self.uri).as_posix()
                yield Listed(name, str(path), stat.st_size, stat.st_ctime, version)

    @contextmanager
    def open(self, path: str) -> Iterator[Stream]:
        """A stream that hashes what passes through it."""
        with open(path, "rb", buffering=0) as raw:
            yield _Hashing(raw)

    def content_id(self, file: Listed) -> str:
        """Reads the file."""
        with self.open(file.path) as stream:
            stream.drain()
            return stream.content_id()


class _Hashing(Stream):
    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer) or 0
        self._hash.update(buffer[:count])
        self.size += count
        return count

    def content_id(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True)
class BucketSource:
    """Objects below a prefix; the id of a content is the object's ETag."""

    access: S3Access
    uri: str

    def files(self, below: str) -> Iterator[Listed]:
        """The objects, by key, as many pages as there are."""
        bucket = Bucket(self.access, self.uri)
        for found in bucket.objects(below):
            changed_at = found.modified.timestamp()
            # The time tells of a rewrite with the same content, the ETag of one within the same second.
            version = f"{found.size}-{found.etag}-{changed_at}"
            yield Listed(found.key, bucket.uri(found.key), found.size, changed_at, version, found.etag)

    @contextmanager
    def open(self, path: str) -> Iterator[Stream]:
        """A stream that goes on where it was if the connection breaks, as long as the object is the same."""
        bucket = Bucket(self.access, self.uri)
        stream = _Downloading(bucket, path.removeprefix(f"{bucket.uri()}/"))
        try:
            yield stream
        finally:
            stream.body.close()

    def content_id(self, file: Listed) -> str:
        """As listed; nothing is read."""
        assert file.etag is not None
        return file.etag


class _Downloading(Stream):
    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._etag: str | None = None
        self.body = self._request()

    def readinto(self, buffer: Any) -> int:
        attempt = 1
        while True:
            try:
                count = int(self.body.readinto(buffer) or 0)
            except _BROKEN:
                if attempt == _READS_AGAIN:
                    raise
                time.sleep(attempt)
                attempt += 1
                self.body.close()
                self.body = self._request()
            else:
                self.size += count
                return count

    def content_id(self) -> str:
        assert self._etag is not None
        return self._etag

    def _request(self) -> Any:
        # A second request asks for the rest of the very same object.
        rest = {"Range": f"bytes={self.size}-", "IfMatch": self._etag} if self._etag else {}
        try:
            body, self._etag = self._bucket.open(self._key, **rest)
        except ClientError as error:
            if status(error) not in _PERMANENT:
                raise
            raise OSError(*_PERMANENT[status(error)], self._bucket.uri(self._key)) from error
        return body
