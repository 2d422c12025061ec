"""Paths on this machine, told from addresses of other file systems."""

from __future__ import annotations

import os
import pathlib
import re

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # one letter alone is a drive of Windows
_FILE = re.compile(r"file:(?://(?:localhost)?)?(?=/(?!/))")


def scheme_of(path: str | os.PathLike) -> str:
    """The scheme of an address, such as "gs"; "" of a path."""
    found = _ADDRESS.match(os.fspath(path))
    return found.group(1).lower() if found else ""


def local_path(path: str | os.PathLike) -> pathlib.Path:
    """A path on this machine; file:///models/name is /models/name.

    Raises:
        ValueError: it is an address, such as gs://bucket/model, which `pathlib` would take for a
            local directory of the name "gs:".
    """
    text, scheme = os.fspath(path), scheme_of(path)
    if not scheme:
        return pathlib.Path(path)
    if scheme == "file" and _FILE.match(text):
        return pathlib.Path(_FILE.sub("", text))
    advice = (
        "write file:///models/name, with the full path"
        if scheme == "file"
        else "use a local directory, and copy it to or from the store with the store's own program "
        "(gcloud storage cp -r, aws s3 cp --recursive, hdfs dfs -put); copy an export under "
        "another name, and rename it to its version number when it is complete"
    )
    raise ValueError(f"Only local paths work here, not {scheme}://: {advice}. Received: {text!r}.")
