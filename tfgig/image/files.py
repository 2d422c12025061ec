"""Image files: from a file to a model's input, and from a picture to a file."""

from __future__ import annotations

import glob
import io
import os
import pathlib
from collections.abc import Iterable
from typing import Any, BinaryIO, Literal, get_args

import numpy as np

from tfgig.spec import check

Fit = Literal["crop", "stretch"]
FITS = get_args(Fit)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's, by the number of channels
# Pillow knows more, and would start Ghostscript for what is a program of its own (EPS).
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
DECODED = ("JPEG", "PNG", "GIF")  # what TensorFlow's own operations decode
_ORIENTATION = 0x0112  # the tag of EXIF


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
        float32 [height, width, channels], 0 (black) to 255 (white), turned as the camera says.
        Samples of 16 bits are scaled from 0 to 65535.

    Raises:
        OSError: no such file, not an image, or one of numbers without a range (floats, whole
            numbers of 32 bits or with a sign); the error names the file.
        ValueError: there is no such `fit`, or no image of so many channels.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    check(fit in FITS, f"`fit` must be one of {FITS}.", fit)
    check(channels in _MODES, f"`channels` must be one of {', '.join(map(str, _MODES))}.", channels)
    image = _opened(path).convert(_MODES[channels])
    width, height = width or image.width, height or image.height
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    else:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).reshape(height, width, channels)


def in_units(pixels: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Pixels from 0 (black) to 255 (white), as a model takes them.

    Args:
        pixels: Of any shape.
        value_range: What is black and what is white in the model's units.
    """
    low, high = value_range
    return low + (high - low) * pixels / 255


def encoded_image(file: str | os.PathLike | bytes) -> bytes:
    """An image file as models that decode images take it: JPEG, PNG or GIF, and upright.

    The file itself if it is one of these; else a PNG of the picture that `read_image` shows. A file
    that no picture can be read from is returned as it is.

    Args:
        file: Its path, or what it holds.
    """
    from PIL import Image

    content = file if isinstance(file, bytes) else pathlib.Path(file).read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            as_it_is = image.format in DECODED and image.getexif().get(_ORIENTATION, 1) == 1
        if as_it_is:
            return content
        picture = io.BytesIO()
        _opened(io.BytesIO(content)).convert("RGB").save(picture, "png")
        return picture.getvalue()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return content  # what decodes it says what is wrong with it


def _opened(path: str | os.PathLike | BinaryIO) -> Any:
    """A Pillow image, upright, of samples of at most 8 bits."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else "the open file"
    try:
        with Image.open(path, formats=FORMATS) as file:
            image = _of_8_bits(ImageOps.exif_transpose(file), file.format)
            image.load()
            return image
    except UnidentifiedImageError as error:
        raise OSError(
            f"{name!r} is not a readable image; the formats are {', '.join(FORMATS)}."
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{name!r} cannot be read: {error}") from error


def _of_8_bits(image: Any, form: str | None) -> Any:
    """The same; Pillow's own conversion would clip what has more bits.

    Raises:
        ValueError: its numbers have no range.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and form in ("PNG", "PPM")):
        return Image.fromarray(np.round(np.asarray(image) / 257.0).astype(np.uint8))
    if image.mode in ("I", "F"):
        kind = "floats" if image.mode == "F" else "32-bit or signed integers"
        raise ValueError(
            f"its pixels are {kind}, so black and white are unknown; save it with 8 or 16 bits per "
            "channel."
        )
    return image.convert("RGB") if image.mode == "LAB" else image  # which knows no way to grey


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a picture, uint8 [height, width, 3], as the format that the path's suffix names."""
    from PIL import Image

    Image.fromarray(picture).save(path)
