"""Datasets of images, with labels and with masks of where the evidence is.

Every dataset is a `tf.data.Dataset` of dictionaries:

    name   string, which example this is, unique in the dataset
    image  float32 [H, W, C], 0 (black) to 255 (white)
    label  int64, the class; -1 if it is not known
    mask   bool [H, W], True where the evidence is; nowhere if it is not known
"""

from __future__ import annotations

import abc
import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.image.files import FITS, FORMATS, Fit, read_image
from tfgig.metrics import boxes_to_mask
from tfgig.spec import Spec, check, is_whole

UNKNOWN = -1
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_BOX = ("top", "left", "bottom", "right")


class Item(NamedTuple):
    """One image of a dataset, as NumPy has it."""

    name: str
    image: np.ndarray  # float32 [H, W, C], 0 to 255
    label: int  # -1 if unknown
    mask: np.ndarray  # bool [H, W], nowhere True if unknown
    unreadable: str | None = None  # why, if its file is no whole image; then all is zeros


@dataclasses.dataclass(frozen=True)
class Dataset(Spec, abc.ABC):
    """A family of sources of images."""

    family = "dataset"

    @abc.abstractmethod
    def items(self, shape: tuple[int, int, int]) -> Iterator[Item]:
        """The images, always in the same order, at the shape [H, W, C]."""

    def size(self) -> int | None:
        """How many images there are, where that is known beforehand."""
        return None

    def load(self, shape: tuple[int, int, int]) -> tf.data.Dataset:
        """The images that can be read as a `tf.data.Dataset`, not batched, in the same order."""
        signature = {
            "name": tf.TensorSpec([], tf.string),
            "image": tf.TensorSpec(shape, tf.float32),
            "label": tf.TensorSpec([], tf.int64),
            "mask": tf.TensorSpec(shape[:2], tf.bool),
        }

        def readable():
            for item in self.items(shape):
                if item.unreadable is None:
                    yield {name: getattr(item, name) for name in signature}

        return tf.data.Dataset.from_generator(readable, output_signature=signature)


@dataclasses.dataclass(frozen=True)
class Directory(Dataset):
    """The image files of a directory.

    Labels stand in its `labels.csv`, with the columns `file` and `label` (a class's number) and,
    if there are boxes of the object, `top`, `left`, `bottom`, `right` in the file's pixels; a
    file with several boxes has several lines. Masks are pictures of the same size and name, with
    the suffix .png, in its folder `masks`: white where the evidence is. All are optional.

    Args:
        path: The directory.
        fit: How an image is brought to the model's size: "crop" or "stretch". Masks and boxes
            go along.
        limit: How many images, in the order of their names; 0 for all.
    """

    kind = "directory"
    path: str = "."
    fit: Fit = "crop"
    limit: int = 0

    def __post_init__(self) -> None:
        check(self.fit in FITS, f"`fit` must be one of {FITS}.", self.fit)
        _check_limit(self.limit)

    def size(self):
        return len(self._files())

    def items(self, shape):
        folder = pathlib.Path(self.path)
        notes = _read_labels(folder / "labels.csv")
        files = self._files()
        check(
            not notes or any(file.name in notes for file in files),
            "labels.csv lists none of the directory's images; its column `file` must contain their "
            f"names, such as {files[0].name}.",
            next(iter(notes), None),
        )
        for file in files:
            label, boxes = notes.get(file.name, (UNKNOWN, []))
            try:
                image = read_image(file, shape, self.fit)
                mask = self._mask(folder / "masks" / f"{file.stem}.png", file, boxes, shape)
                yield Item(file.name, image, label, mask)
            except OSError as error:
                yield _unreadable(file.name, label, shape, error)

    def _files(self) -> list[pathlib.Path]:
        folder = pathlib.Path(self.path)
        check(folder.is_dir(), "The image directory does not exist.", self.path)
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in _IMAGES)
        check(bool(files), f"The directory has no images ({', '.join(_IMAGES)}).", self.path)
        return files[: self.limit or None]

    def _mask(self, path, file, boxes, shape):
        if path.is_file():
            return _fitted(path, shape, self.fit)
        if not boxes:
            return np.zeros(shape[:2], bool)
        height, width = _upright_size(file)
        return _fitted(boxes_to_mask(np.array(boxes), (height, width)), shape, self.fit)


@dataclasses.dataclass(frozen=True)
class Records(Dataset):
    """The `tf.train.Example`s of TFRecord files, with the keys that ImageNet's have.

    `image/encoded`, a JPEG or PNG; `image/class/label`; and, optional, `image/object/bbox/ymin`,
    `xmin`, `ymax` and `xmax`, as shares of height and width, or `mask/encoded`, a picture;
    `image/filename` names the example.

    Args:
        path: The file, or a pattern such as "validation-*".
        fit: How an image is brought to the model's size: "crop" or "stretch".
        limit: How many examples; 0 for all.
    """

    kind = "records"
    path: str = ""
    fit: Fit = "crop"
    limit: int = 0

    def __post_init__(self) -> None:
        check(self.fit in FITS, f"`fit` must be one of {FITS}.", self.fit)
        _check_limit(self.limit)

    def items(self, shape):
        files = sorted(tf.io.gfile.glob(self.path))
        check(bool(files), "No TFRecord file matches.", self.path)
        records = tf.data.TFRecordDataset(files)
        for i, record in enumerate(records.take(self.limit or -1).as_numpy_iterator()):
            features = tf.train.Example.FromString(record).features.feature
            encoded = io.BytesIO(_first(features, "image/encoded", b""))
            name = _first(features, "image/filename", b"").decode() or f"record{i:06d}"
            label = int(_first(features, "image/class/label", UNKNOWN))
            try:
                image = read_image(encoded, shape, self.fit)
                yield Item(name, image, label, self._mask(features, encoded, shape))
            except OSError as error:
                yield _unreadable(name, label, shape, error)

    def _mask(self, features, encoded, shape):
        mask = _first(features, "mask/encoded", b"")
        if mask:
            return _fitted(io.BytesIO(mask), shape, self.fit)
        sides = ("ymin", "xmin", "ymax", "xmax")
        boxes = np.array([features[f"image/object/bbox/{s}"].float_list.value for s in sides])
        if not boxes.size:
            return np.zeros(shape[:2], bool)
        encoded.seek(0)
        height, width = _upright_size(encoded)
        boxes = boxes.T * (height, width, height, width)
        return _fitted(boxes_to_mask(boxes, (height, width)), shape, self.fit)


def _unreadable(name: str, label: int, shape: tuple[int, int, int], error: OSError) -> Item:
    return Item(name, np.zeros(shape, np.float32), label, np.zeros(shape[:2], bool), str(error))


def _check_limit(limit: int) -> None:
    check(is_whole(limit) and limit >= 0, "`limit` must be a whole number of at least 0.", limit)


def _read_labels(path: pathlib.Path) -> dict[str, tuple[int, list[list[float]]]]:
    """By file: the label, and the boxes (top, left, bottom, right)."""
    notes: dict[str, tuple[int, list[list[float]]]] = {}
    if not path.is_file():
        return notes
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a mark first
        text = file.read()
        # Python refuses it up to 3.10, by an error of its own, and takes it from then on.
        check("\0" not in text, "labels.csv is no text: it has a null character.", str(path))
        rows = csv.DictReader(io.StringIO(text, newline=""))
        names = rows.fieldnames or ()
        check(
            {"file", "label"} <= set(names),
            "labels.csv needs the columns `file` and `label`.",
            names,
        )
        for row in rows:
            line = f"Line {rows.line_num} of labels.csv"
            try:
                number = int(row["label"])
                box = [float(row[side]) for side in _BOX if row.get(side)]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{line}: a label must be the index of a class, and box sides must be numbers. "
                    f"Received: {dict(row)!r}."
                ) from error
            label, boxes = notes.setdefault(row["file"], (number, []))
            check(label == number, f"{line} gives a second label for a file.", row["file"])
            check(len(box) in (0, 4), f"{line} has an incomplete box.", row["file"])
            boxes += [box] if box else []
    return notes


def _upright_size(file: Any) -> tuple[int, int]:
    """Height and width of a picture as `read_image` reads it, turned as its camera says."""
    from PIL import Image, ImageOps

    with Image.open(file, formats=FORMATS) as picture:
        width, height = ImageOps.exif_transpose(picture).size
    return height, width


def _fitted(mask: Any, shape: tuple[int, int, int], fit: Fit) -> np.ndarray:
    """A mask, a bool array [h, w] or a picture's file, brought to [H, W] as its image is."""
    if isinstance(mask, np.ndarray):
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(mask.astype(np.uint8) * 255).save(file, "png")
        file.seek(0)
        mask = file
    return read_image(mask, (*shape[:2], 1), fit)[..., 0] >= 128


def _first(features: Any, key: str, default: Any) -> Any:
    """The first value of a feature of a `tf.train.Example`."""
    kind = features[key].WhichOneof("kind") if key in features else None
    values = getattr(features[key], kind).value if kind else ()
    return values[0] if values else default
