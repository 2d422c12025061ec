"""Which files can be decoded, told from their bytes: in a graph, and before they are decoded.

A file that cannot be decoded fails the whole batch that it is in, and one of a few bytes may ask
for gigabytes of pixels. So what a file says of itself is read first.
"""

from __future__ import annotations

import tensorflow as tf

MOST_PIXELS = 1 << 25  # of one image; 100 MB of colours
JPEG, PNG, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_SHORTEST = 32  # bytes; no image of any kind has fewer
_FRAMES = (0xC0, 0xC1, 0xC2)  # JPEG: baseline, extended, progressive
EXIF_SEGMENT = 0xE1
_ALONE = (0x01, *range(0xD0, 0xD8))  # JPEG: markers without a length
_MOST_SEGMENTS = 1000


def readable(file: tf.Tensor) -> tf.Tensor:
    """Whether a file, string [], is one whole, still JPEG, PNG or GIF of at most `MOST_PIXELS`.

    A file that is whole may still be damaged inside.
    """

    def looked_into():
        found = tf.cast(tf.io.decode_raw(file, tf.uint8), tf.int32)
        return tf.case(
            [
                (_starts(file, JPEG), lambda: _jpeg(found, file)),
                (_starts(file, PNG), lambda: _png(found, file)),
                (_starts(file, GIF), lambda: _gif(found)),
            ],
            default=lambda: tf.constant(False),
            exclusive=False,
        )

    return tf.cond(tf.strings.length(file) >= _SHORTEST, looked_into, lambda: tf.constant(False))


def _starts(file: tf.Tensor, start: bytes) -> tf.Tensor:
    return tf.strings.substr(file, 0, len(start)) == start


def _sane(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    height, width = tf.cast(height, tf.int64), tf.cast(width, tf.int64)
    return (height > 0) & (width > 0) & (height * width <= MOST_PIXELS)


def number(
    found: tf.Tensor, position: int | tf.Tensor, count: int, little: bool | tf.Tensor = False
) -> tf.Tensor:
    """The whole numbers of so many bytes at positions; what is outside of the file is 0.

    Args:
        found: The file, int32 [bytes].
        position: Where they begin, int32 [] or [numbers].
        count: How many bytes each has, at most 7.
        little: Whether the smallest comes first, not the largest.

    Returns:
        int64, in the shape of `position`.
    """
    value = tf.constant(0, tf.int64)
    for offset in range(count):
        place = position + tf.where(little, count - 1 - offset, offset)
        inside = (place >= 0) & (place < tf.size(found))
        byte = tf.gather(found, tf.clip_by_value(place, 0, tf.size(found) - 1))
        value = value * 256 + tf.cast(tf.where(inside, byte, 0), tf.int64)
    return value


def _png(found: tf.Tensor, file: tf.Tensor) -> tf.Tensor:
    whole = tf.strings.substr(file, -len(_PNG_END), len(_PNG_END)) == _PNG_END
    # Each side by itself first: the product of two numbers of 32 bits is none of 64 with a sign.
    sides = number(found, 16, 4), number(found, 20, 4)
    return whole & (tf.reduce_max(sides) <= MOST_PIXELS) & _sane(*sides)


def _gif(found: tf.Tensor) -> tf.Tensor:
    width = found[6] + 256 * found[7]
    height = found[8] + 256 * found[9]
    # Before each picture of an animation stands a block of this form, with its delay.
    control = (found[:-8] == 0x21) & (found[1:-7] == 0xF9) & (found[2:-6] == 4) & (found[7:-1] == 0)
    still = tf.math.count_nonzero(control) <= 1
    return (found[-1] == 0x3B) & still & _sane(height, width)


def _jpeg(found: tf.Tensor, file: tf.Tensor) -> tf.Tensor:
    # Some cameras put a few bytes behind the end.
    tail = tf.strings.substr(file, -_SHORTEST, _SHORTEST)
    end = tf.strings.split(tail[tf.newaxis], _JPEG_END)
    position = jpeg_segment(found, _FRAMES)
    height, width = number(found, position + 5, 2), number(found, position + 7, 2)
    colours = number(found, position + 9, 1)
    known = (colours == 1) | (colours == 3) | (colours == 4)
    return (end.row_lengths()[0] > 1) & (position > 0) & known & _sane(height, width)


def jpeg_segment(found: tf.Tensor, markers: tuple[int, ...]) -> tf.Tensor:
    """Where the first segment of a JPEG is that has one of these markers; 0 if there is none.

    Of segments for applications, only those of EXIF are looked at. What comes behind the frame,
    the pixels, is not.

    Args:
        found: The file, int32 [bytes].
        markers: Their second bytes.
    """

    def is_one(position, marker):
        exif = number(found, position + 4, 6) == int.from_bytes(b"Exif\0\0", "big")
        return _among(marker, markers) & ((marker != EXIF_SEGMENT) | exif)

    def go_on(position, turn, marker):
        inside = (position > 0) & (position + 9 < tf.size(found))
        done = is_one(position, marker) | _among(marker, _FRAMES)
        return inside & (turn < _MOST_SEGMENTS) & ~done

    def step(position, turn, marker):
        length = tf.cast(number(found, position + 2, 2), tf.int32)
        after = position + tf.where(_among(marker, _ALONE), 2, 2 + tf.maximum(length, 2))
        marked = number(found, after, 1) == 0xFF
        return tf.where(marked, after, 0), turn + 1, tf.cast(number(found, after + 1, 1), tf.int32)

    first = (tf.constant(2), tf.constant(0), tf.cast(number(found, 3, 1), tf.int32))
    position, _, marker = tf.while_loop(go_on, step, first, parallel_iterations=1)
    return tf.where(is_one(position, marker), position, 0)


def _among(value: tf.Tensor, those: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(those))
