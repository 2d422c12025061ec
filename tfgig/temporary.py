"""Temporary directories that go, however a program ends."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows: there, what a killed program leaves stays
    fcntl = None  # type: ignore[assignment]

_OURS: weakref.WeakSet[TemporaryDirectory] = weakref.WeakSet()


class TemporaryDirectory:
    """A directory that is removed when it is let go, or else when the process ends.

    Its owner holds a lock on it, which ends with the process even where that is killed. So the
    next one of the same prefix finds what nobody holds any more, and removes it.

    Args:
        prefix: What its name begins with.
        parent: Where it is made; None for the directory of temporary files.
    """

    def __init__(self, prefix: str, parent: pathlib.Path | None = None) -> None:
        parent = parent or pathlib.Path(tempfile.gettempdir())
        for path in abandoned(prefix, parent):
            shutil.rmtree(path, ignore_errors=True)
        self.path, self._lock = _locked(prefix, parent)
        self._remove = weakref.finalize(self, _remove, self.path, self._lock)
        _OURS.add(self)

    def cleanup(self) -> None:
        """Removes it."""
        self._remove()

    def hand_over(self) -> None:
        """Lets it be: it was given another name, and belongs to somebody else."""
        if self._remove.detach():
            _unlock(self._lock)

    def __enter__(self) -> TemporaryDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()


def remove_all() -> None:
    """Removes every one of this process: for a process that ends without unwinding."""
    for directory in list(_OURS):
        directory.cleanup()


def abandoned(prefix: str, parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """The user's own directories of a prefix that no process holds; each is held for its turn."""
    for path in _own(prefix, parent) if fcntl else ():
        descriptor = _lock_if_free(path)
        if descriptor is not None:
            try:
                yield path
            finally:
                os.close(descriptor)


def _own(prefix: str, parent: pathlib.Path) -> list[pathlib.Path]:
    found = []
    with contextlib.suppress(OSError), os.scandir(parent) as entries:  # it may not be readable
        for entry in entries:
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        found.append(pathlib.Path(entry.path))
    return found


def _lock_if_free(path: pathlib.Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, or not to be read
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or the file system has no locks
        os.close(descriptor)
        return None
    return descriptor


def _locked(prefix: str, parent: pathlib.Path) -> tuple[pathlib.Path, int | None]:
    """A new directory, and the descriptor that locks it."""
    while True:
        path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if fcntl is None:
            return path, None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another process took it for abandoned, for the lock was not yet on it
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)  # as above


def _remove(path: pathlib.Path, lock: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _unlock(lock)


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
