import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tfgig.image.headers import readable
from tfgig.image.orientation import orientation, upright

PICTURE = np.zeros((24, 40, 3), np.uint8)
PICTURE[:8, :8], PICTURE[:8, -8:], PICTURE[-8:, :8] = 255, (255, 0, 0), (0, 0, 255)
said = tf.function(orientation, input_signature=[tf.TensorSpec([], tf.string)])
whole = tf.function(readable, input_signature=[tf.TensorSpec([], tf.string)])


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def turned(file):
    image = tf.ensure_shape(tf.io.decode_image(file, 3, expand_animations=False), [None, None, 3])
    return upright(image, orientation(file))


def encoded(value, form="png", order="II", **options):
    exif = Image.Exif()
    if value is not None:
        exif[0x010F] = "a camera"
        exif[0x0112] = value
        exif[0x0131] = "a program"
    exif.endian = {"II": "<", "MM": ">"}[order]
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, form, exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["png", "jpeg"])
@pytest.mark.parametrize("value", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(value, form):
    file = encoded(value, form)
    assert said(file) == value
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))), np.int32)
    assert turned(file).shape == expected.shape
    assert np.abs(turned(file).numpy() - expected).max() <= (0 if form == "png" else 8)


@pytest.mark.parametrize("form", ["png", "jpeg"])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_either_order_of_bytes_is_read(form, order):
    file = encoded(6, form, order)
    assert order.encode() in file
    assert said(file) == 6


@pytest.mark.parametrize("value", [None, 0, 9, 70])
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_what_says_nothing_is_upright(value, form):
    assert said(encoded(value, form)) == 1


def test_other_files_are_upright():
    for form in ("gif", "bmp"):
        file = io.BytesIO()
        Image.fromarray(PICTURE).save(file, form)
        assert said(file.getvalue()) == 1
    assert said(b"") == 1
    assert said(b"\xff\xd8\xff") == 1


def test_other_segments_are_passed_over():
    """A comment, a colour profile and notes of another kind (XMP) in front of it."""
    notes = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    file = encoded(8, "jpeg", comment=b"Exif\0\0II*\0", icc_profile=b"x" * 300)
    segment = b"\xff\xe1" + (len(notes) + 2).to_bytes(2, "big") + notes
    file = file[:2] + segment + file[2:]
    assert said(file) == 8
    assert whole(file)


def test_damaged_notes_harm_nobody():
    """Every byte of the notes changed once: an orientation comes out, and no error."""
    for form in ("png", "jpeg"):
        file = bytearray(encoded(6, form))
        start = file.index(b"II*\0")
        for place in range(start - 8, start + 60):
            broken = bytearray(file)
            broken[place] ^= 0xFF
            assert 1 <= said(bytes(broken)).numpy() <= 8
        for cut in range(start, start + 40, 7):
            assert 1 <= said(bytes(file[:cut])).numpy() <= 8
