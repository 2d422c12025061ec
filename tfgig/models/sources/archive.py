"""Archives of SavedModels, unpacked with distrust."""

from __future__ import annotations

import gzip
import pathlib
import shutil
import tarfile
import zlib
from typing import IO, cast

from tfgig.spec import check

SUFFIXES = (".tar.gz", ".tgz", ".tar")
MAX_BYTES = 16 << 30
MAX_MEMBERS = 100_000
_HEADER = 1 << 20  # names are shorter, and so is what is read ahead
_GZIP = b"\x1f\x8b"
_DAMAGED = (
    tarfile.TarError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    # One path is both a file and a directory.
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)


def unpack(archive: pathlib.Path, directory: pathlib.Path, max_bytes: int = MAX_BYTES) -> None:
    """Unpacks an archive, all of it or nothing that is used.

    Only regular files and directories inside the destination are written: no links, no devices,
    no path that leads out, and no owners, times or permissions of the archive's.

    Args:
        archive: A .tar, .tar.gz or .tgz file.
        directory: Where to; it exists and is empty.
        max_bytes: How much it may hold, unpacked.

    Raises:
        ValueError: the archive is damaged or cut short, holds something else than files and
            directories below it, or is larger than allowed. What was written so far is for the
            caller to remove.
    """
    try:
        # A stream: each member is checked when it comes, before anything of it is written.
        with (
            _Bounded(archive, max_bytes) as stream,
            tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar,
        ):
            left = max_bytes
            for count, member in enumerate(tar):
                left -= member.size
                _check_member(member, archive)
                _check_size(left >= 0 and count < MAX_MEMBERS, archive, max_bytes)
                stream.left = member.size + _HEADER
                _write(tar, member, directory)
    except _DAMAGED as error:
        raise ValueError(
            f"The archive is damaged or truncated; download or copy it again ({error}). Received: "
            f"{str(archive)!r}."
        ) from error


class _Bounded:
    """The unpacked bytes of an archive, up to a bound.

    The tar format has headers of any length, which `tarfile` reads whole.
    """

    def __init__(self, archive: pathlib.Path, max_bytes: int) -> None:
        self._archive, self._max_bytes = archive, max_bytes
        self._file = archive.open("rb")
        compressed = self._file.read(len(_GZIP)) == _GZIP
        self._file.seek(0)
        self._content: IO[bytes] = self._file
        if compressed:
            self._content = cast(IO[bytes], gzip.GzipFile(fileobj=self._file))
        self.left = _HEADER  # how much may follow before the next file

    def read(self, size: int) -> bytes:
        content = self._content.read(size)
        self.left -= len(content)
        _check_size(self.left >= 0, self._archive, self._max_bytes)
        return content

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _check_member(member: tarfile.TarInfo, archive: pathlib.Path) -> None:
    path = pathlib.PurePosixPath(member.name)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in member.name
    check(
        inside and (member.isreg() or member.isdir()),
        "A model archive may contain only files and directories; this one has a link, a device or "
        f"a path that leads outside: {member.name!r}. Do not trust it.",
        str(archive),
    )


def _check_size(fits: bool, archive: pathlib.Path, max_bytes: int) -> None:
    check(
        fits,
        f"The archive contains more than {max_bytes >> 20} MiB, {MAX_MEMBERS} files or a header of "
        f"{_HEADER >> 20} MiB; unpack it yourself if you trust it, and give the directory.",
        str(archive),
    )


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: pathlib.Path) -> None:
    path = directory / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"nothing to read in {member.name!r}")
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


def root(directory: pathlib.Path) -> pathlib.Path:
    """The directory that an archive was made of, where it was packed together with its name."""
    while not (directory / "saved_model.pb").is_file():
        inside = list(directory.iterdir())
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.isdigit():
            break
        directory = inside[0]
    return directory
