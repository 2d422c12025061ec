"""Image files: from a file to a model's input, and from a picture to a file."""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Iterable
from typing import BinaryIO, Literal, get_args

import numpy as np

from tfgig.spec import check

Fit = Literal["crop", "stretch"]
FITS = get_args(Fit)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's, by the number of channels
# Pillow knows more, and would start Ghostscript for what is a program of its own (EPS).
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def files_by_name(
    patterns: Iterable[str], endings: Iterable[str] = ("",)
) -> dict[str, pathlib.Path]:
    """The files that match, each once, by names for what is made of them.

    A name is the file's without suffix, or, where that with one of the endings is taken, has a
    number as well: what is made of `cat_guided` by `ig` is not what is made of `cat` by
    `guided_ig`.

    Args:
        patterns: Paths of files, or patterns such as "photos/*.jpg"; `**` matches directories.
        endings: What is added to a name, such as "_ig.png".

    Raises:
        FileNotFoundError: nothing matches one of them.
    """
    files: dict[str, pathlib.Path] = {}
    endings, taken = tuple(endings), set[str]()
    for pattern in patterns:
        exact = os.path.isfile(pattern)  # its name may hold what patterns are made of
        found = [pattern] if exact else sorted(glob.glob(pattern, recursive=True))
        if not found:
            raise FileNotFoundError(f"No file matches {pattern!r}.")
        for path in map(pathlib.Path, found):
            if path in files.values():
                continue
            name, number = path.stem, 1
            while taken & (made := {f"{name}{ending}".lower() for ending in endings}):
                number += 1
                name = f"{path.stem}_{number}"
            taken |= made
            files[name] = path
    return files


def read_image(
    path: str | os.PathLike | BinaryIO, shape: tuple[int | None, int | None, int], fit: Fit = "crop"
) -> np.ndarray:
    """Reads an image at a model's size.

    Args:
        path: A file in one of `FORMATS`, whatever its name says; its path, or an open binary file.
        shape: (height, width, channels) of the result, None for the file's own height or width;
            1 channel is grey, 3 RGB, 4 RGB and alpha.
        fit: "crop" scales until the shape is covered and cuts off evenly what is left over;
            "stretch" changes the aspect.

    Returns:
        float32 [height, width, channels], 0 (black) to 255 (white).

    Raises:
        OSError: no such file, or not an image; the error names the file.
        ValueError: there is no such `fit`, or no image of so many channels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    height, width, channels = shape
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else "the open file"
    check(fit in FITS, f"`fit` is one of {FITS}.", fit)
    check(channels in _MODES, f"An image has {', '.join(map(str, _MODES))} channels.", channels)
    try:
        with Image.open(path, formats=FORMATS) as file:
            image = ImageOps.exif_transpose(file).convert(_MODES[channels])
    except UnidentifiedImageError as error:
        raise OSError(
            f"{name!r} is not an image that can be read, which is one of {', '.join(FORMATS)}."
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{name!r} cannot be read: {error}") from error
    width, height = width or image.width, height or image.height
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    else:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).reshape(height, width, channels)


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a picture, uint8 [height, width, 3], as the format that the path's suffix names."""
    from PIL import Image

    Image.fromarray(picture).save(path)
