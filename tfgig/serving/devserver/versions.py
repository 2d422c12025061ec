"""The versions of a model that a server holds: loaded, switched and let go as they come and go.

A new version is loaded beside the old one, which answers until the new one is ready, and is let
go when its last request is answered. A version that cannot be loaded leaves the old one serving.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfgig.exported.description import read_description
from tfgig.exported.directory import versions
from tfgig.serving.protocol.errors import Code, NotFound, ServingError, Unavailable
from tfgig.serving.protocol.records import VersionStatus
from tfgig.serving.runtime.session import SessionModel

_LOG = logging.getLogger(__name__)


class Servable:
    """A loaded version, in use until each `acquire` has had its `release`."""

    def __init__(self, number: int, model: SessionModel, explaining: frozenset[str]) -> None:
        self.number = number
        self.model = model
        self.explaining = explaining  # the signatures that explain
        self.users = 0


class Versions:
    """Keeps the versions under a directory loaded.

    Args:
        base: The model's directory.
        load: What loads a version's directory.
        keep: How many of the newest versions are served.
        labels: Versions by names of their own; they are served as well.
    """

    def __init__(
        self,
        base: str | os.PathLike,
        load: Callable[[pathlib.Path], SessionModel],
        keep: int = 1,
        labels: Mapping[str, int] | None = None,
    ) -> None:
        self._base = pathlib.Path(base)
        self._load = load
        self._keep = keep
        self._labels = dict(labels or {})
        self._lock = threading.Lock()
        self._served: dict[int, Servable] = {}
        self._open: set[Servable] = set()  # with those that still end their last requests
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, object] = {}  # what its files were when it failed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Looks once, and then every so many seconds."""
        self.poll()

        def watch() -> None:
            while not self._stop.wait(seconds):
                try:
                    self.poll()
                except OSError:  # such as a network drive that is away for a while
                    _LOG.exception("Could not look into %s.", self._base)

        self._thread = threading.Thread(target=watch, name="versions", daemon=True)
        self._thread.start()

    def poll(self) -> None:
        """Looks once: loads what is new, then lets go of what has been replaced."""
        found = versions(self._base)
        wanted = {*list(found)[-self._keep :], *(set(self._labels.values()) & set(found))}
        for number in sorted(wanted, reverse=True):
            if number not in self._served:
                self._try(number, found[number])
        with self._lock:
            # The newest that is wanted and there; without one, what is served goes on.
            if wanted & set(self._served):
                for number in set(self._served) - wanted:
                    self._retire(self._served.pop(number))
            gone = set(self._statuses) - set(found)
            for number in gone:
                if self._statuses[number].state == "END":
                    del self._statuses[number]
                    self._failed.pop(number, None)

    def _try(self, number: int, directory: pathlib.Path) -> None:
        before = _fingerprint(directory)
        if self._failed.get(number) == before:
            return  # it is as it was when it failed
        self._set(VersionStatus(number, "LOADING"))
        try:
            model = self._load(directory)
            explaining = frozenset(read_description(directory).endpoints)
        except Exception as error:  # whatever a directory holds, the server lives on
            code = error_code(error)
            message = f"{type(error).__name__}: {error}"
            _LOG.error("Version %d was not loaded: %s", number, message)
            self._failed[number] = before
            self._set(VersionStatus(number, "END", code, message))
            return
        with self._lock:
            self._served[number] = Servable(number, model, explaining)
            self._open.add(self._served[number])
            self._statuses[number] = VersionStatus(number, "AVAILABLE")

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.number] = status

    def _retire(self, servable: Servable) -> None:
        self._statuses[servable.number] = VersionStatus(servable.number, "UNLOADING")
        if servable.users == 0:
            self._close(servable)

    def _close(self, servable: Servable) -> None:
        self._open.discard(servable)
        servable.model.close()
        self._statuses[servable.number] = VersionStatus(servable.number, "END")

    def acquire(self, number: int | None = None, label: str | None = None) -> Servable:
        """A version to run requests on; it stays until it is released.

        Args:
            number: The version; None for the newest.
            label: The version of that name.

        Raises:
            NotFound: no such version or label is served.
            Unavailable: no version could be loaded.
        """
        with self._lock:
            if label is not None:
                if label not in self._labels:
                    raise NotFound(f"No version is labelled {label!r}: {sorted(self._labels)}.")
                number = self._labels[label]
            if number is None and not self._served:
                raise Unavailable(f"No version is served from {str(self._base)!r}.")
            number = max(self._served) if number is None else number
            if number not in self._served:
                served = ", ".join(map(str, sorted(self._served)))
                raise NotFound(f"Version {number} is not served; these are: {served or 'none'}.")
            servable = self._served[number]
            servable.users += 1
            return servable

    def release(self, servable: Servable) -> None:
        """Gives a version back."""
        with self._lock:
            servable.users -= 1
            retired = self._served.get(servable.number) is not servable
            if retired and servable.users == 0 and servable in self._open:
                self._close(servable)

    def has(self, signature: str) -> bool:
        """Whether a version that is served has a signature of that name."""
        with self._lock:
            return any(signature in served.model.signatures for served in self._served.values())

    def statuses(self) -> list[VersionStatus]:
        """The states of all versions that are or were here, newest first."""
        with self._lock:
            return sorted(self._statuses.values(), key=lambda status: -status.number)

    def stop(self) -> None:
        """Looks no more, and closes everything; what still runs is ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
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
