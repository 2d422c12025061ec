"""TensorFlow Hub: handles that are addresses."""

from __future__ import annotations

import hashlib
import http.client
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

SCHEMES = ("http", "https")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What a broken connection, file system or archive may end in.
_BROKEN = (OSError, EOFError, http.client.HTTPException, zlib.error)


def is_address(handle: str) -> bool:
    """Whether a handle is one of the network."""
    return urllib.parse.urlsplit(handle).scheme in SCHEMES


def resolve(handle: str) -> pathlib.Path:
    """The local copy of a model; downloaded, and kept, where there is none.

    Copies are kept in TFHUB_CACHE_DIR, or in the user's own cache if that is not set. (What
    tensorflow-hub itself takes then is a directory that all users of the machine share.)

    Args:
        handle: https://..., or http://... of this machine.

    Raises:
        OSError: there is no such model, or it cannot be had.
        ValueError: what is there is no archive of a model, or comes over http:// on its way.
    """
    _check_address(handle)
    resolver = _resolver(handle)
    try:
        return pathlib.Path(resolver(handle))
    except urllib.error.HTTPError as error:
        reason = "No model was found" if error.code == 404 else "The server refuses"
        raise OSError(f"{reason} (HTTP {error.code}). Received: {handle!r}.") from error
    except _Unsafe:
        raise
    except ValueError as error:
        # What tensorflow-hub says of links, and of paths that lead out of the archive.
        raise ValueError(
            f"The archive is not a valid model; do not trust it: {error} Received: {handle!r}."
        ) from error
    except (*_BROKEN, tf.errors.OpError) as error:
        raise OSError(
            "The download of the model failed; check the address and the network, and try again "
            f"({error}). Received: {handle!r}."
        ) from error


class _Unsafe(ValueError):
    """An address, the user's or one of a redirect, at which anybody may answer."""


def _check_address(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise _Unsafe(
            f"A model sent over {parts.scheme}:// can be replaced on the way; use https://, or "
            f"download it by a means you trust and give the directory. Received: {address!r}."
        )


class _CheckedHops(urllib.request.HTTPRedirectHandler):
    """Follows redirects to addresses that a user might have given."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _resolver(handle: str) -> Callable[[str], str]:
    try:  # slow, and needed for these handles only
        from tensorflow_hub import compressed_module_resolver, resolver
    except ImportError as error:
        raise ImportError(
            "Model addresses need tensorflow-hub: pip install tensorflow-hub 'setuptools<82' "
            f"({error}). Received: {handle!r}."
        ) from error

    class Resolver(compressed_module_resolver.HttpCompressedFileResolver):
        """As it is, but for where copies are kept and what is followed."""

        def __call__(self, handle):
            name = hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
            directory = resolver.create_local_module_dir(_cache(resolver), name)
            timeout = self._lock_file_timeout_sec()
            return resolver.atomic_download(handle, self._download, directory, timeout)

        def _download(self, handle, folder):
            request = urllib.request.Request(self._append_compressed_format_query(handle))
            secure = urllib.request.HTTPSHandler(context=self._context)
            response = urllib.request.build_opener(secure, _CheckedHops).open(request)
            return resolver.DownloadManager(handle).download_and_uncompress(response, folder)

    return Resolver()


def _cache(resolver: Any) -> str:
    """The directory for copies; if the user names none, one that nobody else can write to."""
    named = resolver.tfhub_cache_dir()
    if named:
        return named
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    own = pathlib.Path(home) / "tfgig" / "hub"
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = own.stat()
    if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
        raise _Unsafe(
            "Other users can write to the directory of downloaded models, and a model is a "
            f"program: restrict it (chmod 700), or set TFHUB_CACHE_DIR. Received: {str(own)!r}."
        )
    return str(own)
