import io
import struct

import numpy as np
import pytest
from PIL import Image

from tfgig.image.files import FORMATS, encoded_image, files_by_name, read_image, write_picture

GREYS = np.linspace(0, 255, 16).reshape(4, 4).round().astype(np.uint8)


@pytest.fixture
def wide(tmp_path):
    """A 40 x 80 picture: a grey middle between a red left and a blue right fifth."""
    pixels = np.full((40, 80, 3), 128, np.uint8)
    pixels[:, :16], pixels[:, -16:] = (255, 0, 0), (0, 0, 255)
    path = tmp_path / "wide.png"
    write_picture(path, pixels)
    return path


def test_crop_keeps_the_aspect_and_the_middle(wide):
    image = read_image(wide, (20, 20, 3))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, np.full((20, 20, 3), 128))


def test_stretch_keeps_the_edges(wide):
    image = read_image(wide, (20, 20, 3), "stretch")
    np.testing.assert_array_equal(image[:, 0], np.tile([255, 0, 0], (20, 1)))
    np.testing.assert_array_equal(image[:, -1], np.tile([0, 0, 255], (20, 1)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_those_of_the_model(wide, channels):
    assert read_image(wide, (10, 12, channels)).shape == (10, 12, channels)


def test_a_photograph_taken_sideways_is_turned(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste("black", (0, 0, 20, 20))  # the left half, which belongs at the top
    picture.save(path, exif=exif, quality=95)
    image = read_image(path, (40, 20, 3))
    assert image[:15].max() < 20
    assert image[-15:].min() > 235


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_an_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"bad\.png"):
        read_image(path, (4, 4, 3))


def test_a_truncated_file_is_named(tmp_path, wide):
    path = tmp_path / "cut.png"
    path.write_bytes(wide.read_bytes()[:90])
    with pytest.raises(OSError, match=r"cut\.png"):
        read_image(path, (4, 4, 3))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.png"):
        read_image(tmp_path / "nowhere.png", (4, 4, 3))


def test_no_two_files_have_one_name(tmp_path):
    for name in ("x/a.png", "x/a_2.png", "y/a.png", "z/a.jpg", "x/b[1].png", "x/b1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_by_name([f"{tmp_path}/x/a*.png", f"{tmp_path}/*/a.*"])
    named = {name: str(path.relative_to(tmp_path)) for name, path in found.items()}
    assert named == {"a": "x/a.png", "a_2": "x/a_2.png", "a_3": "y/a.png", "a_4": "z/a.jpg"}
    # The name of a file, and then a pattern that another has.
    exact = files_by_name([f"{tmp_path}/x/b[1].png"])
    assert [path.name for path in exact.values()] == ["b[1].png"]
    (tmp_path / "x/b[1].png").unlink()
    pattern = files_by_name([f"{tmp_path}/x/b[1].png"])
    assert [path.name for path in pattern.values()] == ["b1.png"]
    with pytest.raises(FileNotFoundError, match="No file matches"):
        files_by_name([f"{tmp_path}/x/c*.png"])


def test_what_is_made_of_two_files_has_two_names(tmp_path):
    for name in ("cat.png", "cat_guided.png", "CAT.jpg"):
        (tmp_path / name).touch()
    endings = [".npz", "_ig.png", "_guided_ig.png"]
    found = files_by_name([f"{tmp_path}/cat*.png", f"{tmp_path}/CAT.jpg"], endings)
    assert list(found) == ["cat", "cat_guided_2", "CAT_2"]
    made = [f"{name}{ending}".lower() for name in found for ending in endings]
    assert len(set(made)) == len(made)


def test_a_program_for_a_printer_is_no_image(tmp_path, monkeypatch):
    """Pillow would have Ghostscript run it, whatever the file's name."""
    ran = []
    monkeypatch.setattr("subprocess.check_call", lambda *arguments, **_: ran.append(arguments))
    path = tmp_path / "picture.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(OSError, match=r"picture\.png' is not a readable image.*PNG"):
        read_image(path, (4, 4, 3))
    assert not ran


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_one_of_pillows(kind):
    Image.init()
    assert kind in Image.OPEN


# By Pillow's mode: formats that keep it (none keeps HSV), and how the picture is made of one with a
# mode of 8 bits.
MODES = {
    "1": ("PNG", "BMP", "PPM", "TIFF"),
    "L": ("PNG", "BMP", "GIF", "JPEG2000", "PPM", "TIFF"),
    "LA": ("PNG", "JPEG2000", "TIFF"),
    "P": ("PNG", "GIF", "TIFF"),
    "PA": ("TIFF",),
    "RGB": ("PNG", "BMP", "JPEG2000", "PPM", "TIFF"),
    "RGBA": ("PNG", "TIFF"),
    "RGBX": ("TIFF",),
    "CMYK": ("TIFF",),
    "YCbCr": ("TIFF",),
    "LAB": ("TIFF",),
    "I;16": ("PNG", "TIFF", "JPEG2000", "PPM"),
    "I;16B": ("TIFF",),
    "I;16L": ("TIFF",),
}


def in_mode(mode):
    """The greys 0 to 255 as a picture of a mode."""
    if mode.startswith("I;16"):
        order = ">" if mode == "I;16B" else "<"
        values = (GREYS.astype(np.uint16) * 257).astype(f"{order}u2")
        return Image.frombytes(mode, (4, 4), values.tobytes())
    if mode == "1":
        return Image.fromarray(GREYS).point(lambda value: 255 * (value > 127)).convert("1")
    if mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.createProfile("LAB")
        made = Image.fromarray(GREYS).convert("RGB")
        return ImageCms.profileToProfile(made, ImageCms.createProfile("sRGB"), lab, outputMode=mode)
    if mode in ("P", "LA", "PA"):  # from RGB, Pillow would take other colours
        return Image.fromarray(GREYS).convert(mode)
    return Image.fromarray(GREYS).convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "form"), [(mode, form) for mode, forms in MODES.items() for form in forms]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_pillow_keeps_its_greys(tmp_path, mode, form, channels):
    file = io.BytesIO()
    in_mode(mode).save(file, form)
    try:
        Image.open(file).load()
    except OSError:  # YCbCr in TIFF, before Pillow 13
        pytest.skip(f"Pillow does not read back what it has written: {mode} in {form}")
    file.seek(0)
    expected = 255 * (GREYS > 127) if mode == "1" else GREYS
    found = read_image(file, (4, 4, channels))
    tolerance = 4 if mode in ("LAB", "YCbCr") else 1
    assert np.abs(found - expected[..., np.newaxis]).max() <= tolerance


@pytest.mark.parametrize(
    ("mode", "transparent"), [("P", 0), ("L", 0), ("RGB", (0, 0, 0)), ("LA", None), ("RGBA", None)]
)
def test_what_is_transparent_keeps_its_colour(tmp_path, mode, transparent):
    """As TensorFlow decodes it; a model of four channels is told what is transparent."""
    picture = in_mode(mode)
    options = {} if transparent is None else {"transparency": transparent}
    if transparent is None:
        picture.putalpha(Image.fromarray(255 * (GREYS > 0).astype(np.uint8)))
    picture.save(tmp_path / "clear.png", **options)
    found = read_image(tmp_path / "clear.png", (4, 4, 4))
    np.testing.assert_array_equal(found[..., 3], 255 * (GREYS > 0))
    for channels in (1, 3):
        found = read_image(tmp_path / "clear.png", (4, 4, channels))
        np.testing.assert_array_equal(found, np.repeat(GREYS[..., np.newaxis], channels, -1))


def test_the_deepest_of_sixteen_bits_are_not_lost(tmp_path):
    """A picture of 12 bits in 16 is dark, and so it is shown; nothing of it is cut off."""
    values = np.array([[0, 128, 4095, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    found = read_image(tmp_path / "deep.png", (1, 4, 1))[..., 0]
    np.testing.assert_array_equal(found, [[0, 0, 16, 255]])


@pytest.mark.parametrize(("mode", "words"), [("F", "floats"), ("I", "32-bit")])
def test_numbers_without_a_range_are_refused(tmp_path, mode, words):
    path = tmp_path / "numbers.tiff"
    Image.fromarray(GREYS).convert(mode).save(path)
    with pytest.raises(OSError, match=rf"numbers\.tiff' cannot be read: its pixels are .*{words}"):
        read_image(path, (4, 4, 3))


@pytest.mark.parametrize("form", FORMATS)
def test_models_that_decode_are_given_what_is_shown(tmp_path, form):
    path = tmp_path / "picture"
    Image.fromarray(GREYS).convert("RGB").save(path, form)
    content = encoded_image(path)
    assert (content == path.read_bytes()) == (form in ("JPEG", "PNG", "GIF"))
    again = read_image(io.BytesIO(content), (4, 4, 3))
    np.testing.assert_array_equal(again, read_image(path, (4, 4, 3)))
    path.write_bytes(struct.pack("<H", 3))
    assert encoded_image(path) == path.read_bytes()


def test_models_that_decode_are_given_upright_pictures(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    path = tmp_path / "turned.jpg"
    Image.fromarray(GREYS[:2]).convert("RGB").save(path, exif=exif)
    with Image.open(io.BytesIO(encoded_image(path))) as found:
        assert (found.format, found.size) == ("PNG", (2, 4))
