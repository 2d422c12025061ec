"""The versions of a model that a server holds: loaded, switched and let go as they come and go.

A new version is loaded beside the old one, which answers until the new one is ready, and is let
go when its last request is answered. A version that cannot be loaded leaves the old one serving,
and is tried again for a while.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from tfgig.exported.directory import versions
from tfgig.serving.protocol.errors import Code, InvalidRequest, NotFound, ServingError
from tfgig.serving.protocol.records import Model, VersionStatus
from tfgig.serving.runtime.session import SessionModel

_LOG = logging.getLogger(__name__)


class Servable:
    """A loaded version, open as long as it is leased."""

    def __init__(self, number: int, model: SessionModel) -> None:
        self.number = number
        self.model = model
        self.users = 0
        self.closed = False


@dataclasses.dataclass
class _Attempts:
    """The attempts to load a version that failed."""

    files: object  # what they were at the last one
    count: int = 0
    next: float = 0.0  # on the monotonic clock


class Versions:
    """Keeps the versions under a directory loaded.

    Args:
        base: The model's directory.
        name: The model's name.
        load: What loads a version's directory.
        keep: The number of newest versions to serve.
        labels: Versions by names of their own; they are served as well.
        retries: The number of retries for a version that cannot be loaded. After that, it is tried
            when its files have changed.
        retry_seconds: How long it waits in between.
    """

    def __init__(
        self,
        base: str | os.PathLike,
        name: str,
        load: Callable[[pathlib.Path], SessionModel],
        keep: int = 1,
        labels: Mapping[str, int] | None = None,
        retries: int = 0,
        retry_seconds: float = 0.0,
    ) -> None:
        self._base = pathlib.Path(base)
        self._name = name
        self._load = load
        self._keep = keep
        self._labels = dict(labels or {})
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._changed = threading.Condition()
        self._served: dict[int, Servable] = {}
        self._open: set[Servable] = set()  # with those that still end their last requests
        self._statuses: dict[int, VersionStatus] = {}
        self._attempts: dict[int, _Attempts] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Looks until a version is served, and from then on every so many seconds.

        Raises:
            OSError: all existing versions failed permanently.
        """
        self.poll()
        while not self._served and self._loading():
            self._stop.wait(seconds)
            self.poll()
        if self._statuses and not self._served:
            newest = self.statuses()[0]
            raise OSError(f"No version of {self._name!r} can be loaded. {newest.message}")

        def watch() -> None:
            while not self._stop.wait(seconds):
                try:
                    self.poll()
                except OSError:  # such as a network drive that is away for a while
                    _LOG.exception("Could not read %s.", self._base)

        self._thread = threading.Thread(target=watch, name="versions", daemon=True)
        self._thread.start()

    def _loading(self) -> bool:
        return any(status.state == "LOADING" for status in self.statuses())

    def poll(self) -> None:
        """Looks once: loads what is new, then lets go of what has been replaced."""
        found = versions(self._base)
        wanted = {*list(found)[-self._keep :], *(set(self._labels.values()) & set(found))}
        for number in sorted(wanted, reverse=True):
            if number not in self._served:
                self._try(number, found[number])
        with self._changed:
            # The newest that is wanted and there; without one, what is served goes on.
            if wanted & set(self._served):
                for number in set(self._served) - wanted:
                    self._retire(self._served.pop(number))
            for number in set(self._statuses) - set(found):
                self._attempts.pop(number, None)
                if self._statuses[number].state in ("LOADING", "END"):
                    del self._statuses[number]

    def _try(self, number: int, directory: pathlib.Path) -> None:
        files = _fingerprint(directory)
        attempts = self._attempts.setdefault(number, _Attempts(files))
        if attempts.count > self._retries:
            if attempts.files == files:
                return
            attempts.count = 0
        elif time.monotonic() < attempts.next:
            return
        self._set(VersionStatus(number, "LOADING"))
        try:
            model = self._load(directory)
        except Exception as error:  # whatever a directory holds, the server lives on
            attempts.files, attempts.count = files, attempts.count + 1
            attempts.next = time.monotonic() + self._retry_seconds
            message = str(error) or type(error).__name__
            _LOG.error("Version %d was not loaded: %s", number, message)
            if attempts.count > self._retries:
                self._set(VersionStatus(number, "END", error_code(error), message))
            return
        del self._attempts[number]
        with self._changed:
            self._served[number] = Servable(number, model)
            self._open.add(self._served[number])
            self._statuses[number] = VersionStatus(number, "AVAILABLE")

    def _set(self, status: VersionStatus) -> None:
        with self._changed:
            self._statuses[status.number] = status

    def _retire(self, servable: Servable) -> None:
        self._statuses[servable.number] = VersionStatus(servable.number, "UNLOADING")
        if servable.users == 0:
            self._close(servable)

    def _close(self, servable: Servable) -> None:
        self._open.discard(servable)
        servable.closed = True  # what ends now, ends for that
        servable.model.close()
        self._statuses[servable.number] = VersionStatus(servable.number, "END")

    @contextlib.contextmanager
    def lease(self, model: Model) -> Iterator[Servable]:
        """A version to run a request on, from its look-up to its answer: it stays open that long.

        Args:
            model: Which one; without a number or a label, the newest.

        Raises:
            InvalidRequest: there is no such label, or no name.
            NotFound: no such model or version is served.
        """
        with self._changed:
            servable = self._found(model)
            servable.users += 1
        try:
            yield servable
        finally:
            with self._changed:
                servable.users -= 1
                retired = self._served.get(servable.number) is not servable
                if retired and servable.users == 0 and servable in self._open:
                    self._close(servable)
                self._changed.notify_all()

    def _found(self, model: Model) -> Servable:
        if not model.name:
            raise InvalidRequest("ModelSpec has no name specified.")
        number = model.version
        if model.label is not None:
            if model.name != self._name or model.label not in self._labels:
                raise InvalidRequest(f"Unrecognized servable version label: {model.label}")
            number = self._labels[model.label]
        if number is None and self._served:
            number = max(self._served)
        if model.name != self._name or number not in self._served:
            newest = model.version is None and model.label is None
            wanted = f"Latest({model.name})" if newest else f"Specific({model.name}, {number})"
            raise NotFound(f"Servable not found for request: {wanted}")
        return self._served[number]

    def has(self, signature: str) -> bool:
        """Whether a version that is served has a signature of that name."""
        with self._changed:
            return any(signature in served.model.signatures for served in self._served.values())

    def statuses(self) -> list[VersionStatus]:
        """The states of all versions that are or were here, newest first."""
        with self._changed:
            return sorted(self._statuses.values(), key=lambda status: -status.number)

    def stop(self, grace: float) -> None:
        """Looks no more, waits so many seconds for leases to end, and closes everything.

        What still runs then is ended.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._changed:
            self._changed.wait_for(lambda: not any(s.users for s in self._open), grace)
            self._served.clear()
            for servable in list(self._open):
                self._close(servable)


def error_code(error: BaseException) -> Code:
    """The canonical code of what TensorFlow, Python or this package raised."""
    if isinstance(error, ServingError):
        return error.code
    if isinstance(error, tf.errors.OpError):
        return next((code for code in Code if code.number == error.error_code), Code.UNKNOWN)
    if isinstance(error, ValueError):
        cause = error.__cause__
        return error_code(cause) if isinstance(cause, tf.errors.OpError) else Code.INVALID_ARGUMENT
    return Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.UNKNOWN


def _fingerprint(directory: pathlib.Path) -> object:
    found = []
    with contextlib.suppress(OSError):  # it may be on its way out
        for path in sorted(directory.rglob("*")):
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns))
    return found
