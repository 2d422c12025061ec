"""TensorFlow Hub: handles that are addresses."""

from __future__ import annotations

import http.client
import pathlib
import urllib.error
import urllib.parse
import zlib

import tensorflow as tf

SCHEMES = ("http", "https")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What a broken connection, file system or archive may end in.
_BROKEN = (OSError, EOFError, http.client.HTTPException, zlib.error, tf.errors.OpError)


def is_address(handle: str) -> bool:
    """Whether a handle is one of the network."""
    return urllib.parse.urlsplit(handle).scheme in SCHEMES


def resolve(handle: str) -> pathlib.Path:
    """The local copy of a model; downloaded, and kept in TFHUB_CACHE_DIR, where there is none.

    Args:
        handle: https://..., or http://... of this machine.

    Raises:
        OSError: there is no such model, or it cannot be had.
        ValueError: what is there is no archive of a model.
    """
    address = urllib.parse.urlsplit(handle)
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        raise ValueError(
            "A model that comes over http:// can be exchanged on the way; use https://, or "
            f"download it by means that you trust and give the directory. Received: {handle!r}."
        )
    try:
        import tensorflow_hub  # slow, and needed for these handles only
    except ImportError as error:
        raise ImportError(
            "Handles that are addresses need tensorflow-hub: pip install tensorflow-hub "
            f"'setuptools<81' ({error}). Received: {handle!r}."
        ) from error
    try:
        return pathlib.Path(tensorflow_hub.resolve(handle))
    except urllib.error.HTTPError as error:
        reason = "There is no model there" if error.code == 404 else "The server refuses"
        raise OSError(f"{reason} (HTTP {error.code}). Received: {handle!r}.") from error
    except ValueError as error:
        # What tensorflow-hub says of links, and of paths that lead out of the archive.
        raise ValueError(
            f"The archive is not one of a model; do not trust it: {error} Received: {handle!r}."
        ) from error
    except _BROKEN as error:
        raise OSError(
            "The model could not be downloaded whole; check the address and the network, and try "
            f"again ({error}). Received: {handle!r}."
        ) from error
