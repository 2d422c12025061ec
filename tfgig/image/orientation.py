"""How a camera was held, told from a file's bytes in a graph, and pictures turned upright."""

from __future__ import annotations

import tensorflow as tf

from tfgig.image.headers import EXIF_SEGMENT, JPEG, PNG, jpeg_segment, number

UPRIGHT = 1
_TAG = 0x0112
# What the orientations 1 to 8 of EXIF ask for: whether axes are exchanged, and which are mirrored
# before that.
_TURNS = (
    (False, ()),
    (False, (1,)),
    (False, (0, 1)),
    (False, (0,)),
    (True, ()),
    (True, (0,)),
    (True, (0, 1)),
    (True, (1,)),
)


def orientation(file: tf.Tensor) -> tf.Tensor:
    """The orientation of a JPEG or PNG, int32 [], 1 to 8 as EXIF has it; 1 where none is said.

    Args:
        file: string [], a file that `tfgig.image.headers.readable` finds whole.

    References:
        CIPA DC-008, Exchangeable image file format for digital still cameras, section 4.6.
    """

    def starts(start):
        return tf.strings.substr(file, 0, len(start)) == start

    def looked_into():
        found = tf.cast(tf.io.decode_raw(file, tf.uint8), tf.int32)
        place = tf.case(
            [
                (starts(JPEG), lambda: jpeg_segment(found, (EXIF_SEGMENT,)) + 10),
                (starts(PNG), lambda: _in_png(found)),
            ],
            default=lambda: tf.constant(-1),
        )
        return _said(found, place)

    return tf.cond(starts(JPEG) | starts(PNG), looked_into, lambda: tf.constant(UPRIGHT))


def upright(image: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
    """An image [height, width, channels] as it is to be looked at.

    Args:
        image: As it is stored.
        said: Its orientation, int32 [], 1 to 8.
    """

    def turned(exchanged, mirrored):
        result = tf.reverse(image, mirrored) if mirrored else image
        return tf.transpose(result, [1, 0, 2]) if exchanged else result

    branches = [lambda turn=turn: turned(*turn) for turn in _TURNS]
    return tf.ensure_shape(tf.switch_case(said - 1, branches), [None, None, image.shape[-1]])


def _in_png(found: tf.Tensor) -> tf.Tensor:
    """Where the data of a PNG's chunk of EXIF begin; -1 if there is none."""
    # Looked for all over the file: chunks of pixels can be thousands, one after another. That the
    # header follows which only EXIF has keeps what looks like a chunk by chance apart.
    here = tf.ones_like(found[:-12], tf.bool)
    for offset, letter in enumerate(b"eXIf"):
        here &= found[offset : tf.size(found) - 12 + offset] == letter
    places = tf.cast(tf.where(here)[:, 0], tf.int32)
    order, magic = number(found, places + 4, 2), number(found, places + 6, 2)
    little, big = (order == 0x4949) & (magic == 0x2A00), (order == 0x4D4D) & (magic == 0x002A)
    places = tf.boolean_mask(places, little | big)
    return tf.concat([places, [-5]], 0)[0] + 4


def _said(found: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in EXIF data (a TIFF header and its first directory) from a byte on."""
    little = number(found, start, 2) == 0x4949

    def read(place, count):
        return tf.cast(number(found, place, count, little), tf.int32)

    def looked_up():
        # Offsets beyond the file lead to zeros, which are no tag.
        directory = start + tf.clip_by_value(read(start + 4, 4), 0, tf.size(found))
        entries = directory + 2 + 12 * tf.range(read(directory, 2))
        values = tf.boolean_mask(read(entries + 8, 2), read(entries, 2) == _TAG)
        value = tf.concat([values, [UPRIGHT]], 0)[0]
        return tf.where((value >= 1) & (value <= len(_TURNS)), value, UPRIGHT)

    return tf.cond(start >= 10, looked_up, lambda: tf.constant(UPRIGHT))
