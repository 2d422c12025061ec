"""Publishing a version: a directory appears whole or not at all.

TensorFlow Serving takes up any directory whose name is a number, complete or not. So a version
is written beside, under a name that it passes over, and renamed when nothing is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import posixpath
import shutil
from collections.abc import Iterator

from tfgig.exported.directory import LARGEST, is_number
from tfgig.local import local_path
from tfgig.remote import is_remote, names_in, put, remove
from tfgig.spec import check, is_whole
from tfgig.temporary import TemporaryDirectory, abandoned

_INCOMING, _OUTGOING = ".incoming-", ".outgoing-"


def version_at(
    base: str | os.PathLike, number: int | None, overwrite: bool
) -> Version | RemoteVersion:
    """A `Version` on this machine, or a `RemoteVersion` at an address; takes what those take.

    Raises:
        OSError: nobody answers at the address.
        FileExistsError, ValueError: as those raise.
    """
    if is_remote(base):
        return RemoteVersion(os.fspath(base), number, overwrite)
    return Version(base, number, overwrite)


def _check_number(base: pathlib.PurePath, number: int | None, given: str) -> None:
    check(
        not is_number(base.name),
        "`path` must be the model's directory, which contains numbered versions; give the version "
        f"separately: path={given.rstrip('/')[: -len(base.name) - 1]!r}, version={base.name}.",
        given,
    )
    check(
        number is None or (is_whole(number) and 0 <= number <= LARGEST),
        f"A version must be a whole number from 0 to {LARGEST}: servers skip larger ones.",
        number,
    )


class RemoteVersion:
    """A version to be, on another file system.

    It is written on this machine, and copied when it is complete. Where the file system can rename
    (HDFS) its number appears last. Object stores cannot: the number appears with the first file,
    and `saved_model.pb`, without which a server refuses the directory and tries again, with the
    last. Between a look at what is there and the writing, another export may take the number.

    Args:
        base: The address of the model's directory.
        number: As `version_at`.
        overwrite: As `version_at`. A version that is replaced is absent until all of the new one
            is there.

    Raises:
        FileExistsError, OSError, ValueError: as `version_at`.
    """

    def __init__(self, base: str, number: int | None, overwrite: bool) -> None:
        self._base = base.rstrip("/")
        _check_number(pathlib.PurePosixPath(self._base), number, base)
        self._number = number
        self._overwrite = overwrite
        self._free()
        self.directory = ""

    @contextlib.contextmanager
    def incoming(self) -> Iterator[pathlib.Path]:
        """A directory to write to; published when the block ends well.

        Raises:
            OSError: it cannot be written; nothing is left behind.
        """
        with TemporaryDirectory("tfgig-") as directory:
            yield directory.path
            number, taken = self._free()
            address = f"{self._base}/{number}"
            if number in taken:
                remove(address)
            put(directory.path, address)
        self.directory = address

    def _free(self) -> tuple[int, list[int]]:
        """The number, and those that are taken."""
        taken = [int(name) for name in names_in(self._base) if is_number(name)]
        number = max(taken, default=0) + 1 if self._number is None else self._number
        if number in taken and not self._overwrite:
            raise _exists(f"{self._base}/{number}")
        return number, taken


class Version:
    """A version to be: where it goes, checked before any work is done.

    Args:
        base: The model's directory, which holds versions by number.
        number: The version; None takes the next free one.
        overwrite: Whether a version that exists is replaced.

    Raises:
        FileExistsError: the version exists.
        ValueError: `base` is an address of another file system, or itself named like a version,
            or `number` is none of 0 to 2^63 - 1.
    """

    def __init__(self, base: str | os.PathLike, number: int | None, overwrite: bool) -> None:
        self._base = local_path(base)
        _check_number(self._base, number, str(base))
        self._number = number
        self._overwrite = overwrite
        if number is not None:
            self._refuse_existing(self._base / str(number))

    @contextlib.contextmanager
    def incoming(self) -> Iterator[pathlib.Path]:
        """A directory to write to; published when the block ends well, else removed.

        Raises:
            OSError: the directory cannot be written to (read-only, full); nothing is left behind.
        """
        missing = [p for p in (self._base, *self._base.parents) if not p.exists()]
        incoming = None
        try:
            self._base.mkdir(parents=True, exist_ok=True)
            _restore(self._base)
            incoming = TemporaryDirectory(_INCOMING, self._base)
            incoming.path.chmod(0o755)  # the 0o700 it has would lock out the server's own user
            yield incoming.path
            self.directory = self._publish(incoming.path)
            incoming.hand_over()
        except BaseException as error:
            if incoming is not None:
                incoming.cleanup()
            for directory in missing:  # innermost first: leave no empty directories behind
                with contextlib.suppress(OSError):
                    directory.rmdir()
            if isinstance(error, OSError) and not isinstance(error, FileExistsError):
                raise OSError(
                    f"Could not write a version to {str(self._base)!r}; nothing was published. "
                    f"Is the disk full or read-only? {error}"
                ) from error
            raise

    def _publish(self, incoming: pathlib.Path) -> pathlib.Path:
        while True:
            number = self._number
            if number is None:
                taken = [int(p.name) for p in self._base.iterdir() if is_number(p.name)]
                number = max(taken, default=0) + 1
            destination = self._base / str(number)
            if self._overwrite and destination.exists():
                return _replace(incoming, destination)
            if self._number is not None:
                self._refuse_existing(destination)
            try:
                os.rename(incoming, destination)  # fails on a directory that has something in it
                return destination
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                # Another export took the number between the look and the rename: look again.

    def _refuse_existing(self, destination: pathlib.Path) -> None:
        if destination.exists() and not self._overwrite:
            raise _exists(str(destination))


def _exists(destination: str) -> FileExistsError:
    return FileExistsError(
        f"Version {posixpath.basename(destination)} already exists. Choose another version, omit "
        f"it for the next free one, or use overwrite=True. Received: {destination!r}."
    )


def _replace(incoming: pathlib.Path, destination: pathlib.Path) -> pathlib.Path:
    """Exchanges a version; between the two renames there is, for an instant, none."""
    with TemporaryDirectory(_OUTGOING, destination.parent) as outgoing:
        try:
            os.rename(destination, outgoing.path / destination.name)
            os.rename(incoming, destination)
        except BaseException:  # a signal's, too
            if not destination.exists():
                os.rename(outgoing.path / destination.name, destination)
            raise
    return destination


def _restore(base: pathlib.Path) -> None:
    """Puts back versions whose exchange was cut short between its two renames."""
    for outgoing in abandoned(_OUTGOING, base):
        for version in outgoing.iterdir():
            if not (base / version.name).exists():
                os.rename(version, base / version.name)
        shutil.rmtree(outgoing, ignore_errors=True)
