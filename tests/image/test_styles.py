import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.cases import image_model, images
from tfgig import Endpoint, PathIntegral, export_saved_model
from tfgig.image import Diverging, Grayscale, Mask, Overlay, Style
from tfgig.image.style import percentile
from tfgig.serving import SessionModel
from tfgig.spec import from_config, members, to_config

RANDOM = np.random.default_rng(0)
ATTRIBUTIONS = RANDOM.normal(size=(3, 16, 20, 3)).astype(np.float32)
IMAGES = RANDOM.uniform(0, 255, (3, 16, 20, 3)).astype(np.float32)
RANGE = (0.0, 255.0)
STYLES = [kind() for kind in members(Style)]
every_style = pytest.mark.parametrize("style", STYLES, ids=lambda style: style.kind)


def draw(style, image=IMAGES, attributions=ATTRIBUTIONS, value_range=RANGE):
    return style.draw(tf.constant(image), tf.constant(attributions), value_range).numpy()


def test_the_styles_are_these():
    assert [style.kind for style in STYLES] == ["overlay", "mask", "diverging", "grayscale"]


@every_style
def test_pictures_of_any_image_each_by_itself(style):
    for channels in (1, 3, 4):
        image = np.repeat(IMAGES[..., :1], channels, axis=-1)
        found = draw(style, image)
        assert found.dtype == np.uint8
        assert found.shape == (3, 16, 20, 3)
    scaled = ATTRIBUTIONS * np.float32([1e-6, 1, 1e6]).reshape(3, 1, 1, 1)
    together = draw(style, attributions=scaled)
    for row in range(3):
        alone = draw(style, IMAGES[row : row + 1], ATTRIBUTIONS[row : row + 1])
        assert np.abs(alone[0].astype(int) - together[row]).max() <= 1
    assert draw(
        style, np.zeros((0, 4, 5, 3), np.float32), np.zeros((0, 4, 5, 3), np.float32)
    ).shape == (0, 4, 5, 3)
    units = draw(style, IMAGES / 127.5 - 1, value_range=(-1.0, 1.0)).astype(int)
    assert np.abs(units - draw(style)).max() <= 1
    assert from_config(to_config(style)) == style


@every_style
def test_attributions_of_zero_are_drawn_as_nothing(style):
    found = draw(style, attributions=np.zeros_like(ATTRIBUTIONS))
    expected = {
        "overlay": 0.75 * (IMAGES @ np.float32([0.299, 0.587, 0.114]))[..., None],
        "mask": (1 - 0.85) * IMAGES,
        "diverging": 0.969 * 255,
        "grayscale": 0,
    }[style.kind]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1)


def test_percentiles_are_numpys():
    values = RANDOM.normal(size=(3, 7, 9)).astype(np.float32)
    for percent in (0.5, 50, 99, 100):
        expected = np.percentile(values, percent, axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(percentile(tf.constant(values), percent), expected, rtol=1e-6)


def test_grayscale_is_the_references():
    """The PAIR-code/saliency visualization, written out: sum of |.|, minimum to 99th percentile."""
    strength = np.abs(ATTRIBUTIONS.astype(np.float64)).sum(-1)
    low = strength.min((1, 2), keepdims=True)
    high = np.percentile(strength, 99, axis=(1, 2), keepdims=True)
    expected = np.clip((strength - low) / (high - low), 0, 1)
    found = draw(Grayscale())
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, -1) * 255, atol=0.51)


def test_a_mask_shows_the_pixels_above_the_percentile():
    strength = np.abs(ATTRIBUTIONS).sum(-1)
    seen = strength >= np.percentile(strength, 80, axis=(1, 2), keepdims=True)
    found = draw(Mask(percentile=80, smoothing=0, opacity=1))
    np.testing.assert_allclose(found, np.where(seen[..., None], IMAGES, 0), atol=0.51)
    assert seen.mean() == pytest.approx(0.2, abs=0.01)
    soft = draw(Mask(percentile=80, smoothing=0.1, opacity=1))
    sigma = 0.1 * 16
    joined = scipy.ndimage.gaussian_filter(strength[0], sigma)
    chosen = (joined >= np.percentile(joined, 80)).astype(float)
    edge = scipy.ndimage.gaussian_filter(chosen, sigma)[..., None]
    np.testing.assert_allclose(soft[0], edge * IMAGES[0], atol=1)


def test_signs_have_colours():
    attributions = np.zeros((1, 3, 3, 2), np.float32)
    attributions[0, 0, 0] = (3, -1)  # for
    attributions[0, 2, 2] = (-2, 0)  # against
    attributions[0, 1, 1] = (5, -5)  # neither
    style = Diverging(percentile=100, smoothing=0)
    found = draw(style, np.zeros((1, 3, 3, 3), np.float32), attributions)[0].astype(int)
    red, _, blue = found[0, 0]
    assert red > 2 * blue
    red, _, blue = found[2, 2]
    assert blue > 2 * red
    np.testing.assert_array_equal(found[1, 1], found[0, 1])  # white
    half = dataclasses.replace(style, opacity=0.5)
    over = draw(half, np.full((1, 3, 3, 3), 255, np.float32), attributions)[0]
    np.testing.assert_allclose(over, (found + 255) / 2, atol=1)


@every_style
def test_mistakes_name_the_field(style):
    bad = {"percentile": (0, 101), "smoothing": (-0.1, 0.6), "opacity": (-0.1, 1.1, float("nan"))}
    bad["channels"] = ("mean",)
    for field in dataclasses.fields(style):
        for value in bad[field.name]:
            match = rf"{type(style).__name__}\({field.name}=\.\.\.\).*Received: {value!r}"
            with pytest.raises(ValueError, match=match):
                dataclasses.replace(style, **{field.name: value})


def test_exported_heatmaps_are_drawn_in_any_style(tmp_path):
    method = PathIntegral(steps=4)
    endpoints = [Endpoint("explain", method)] + [
        Endpoint(style.kind, method, kind="heatmap", overlay=style) for style in STYLES
    ]
    directory = export_saved_model(image_model(), tmp_path / "model", endpoints)
    inputs = images(2)
    with SessionModel(directory) as model:
        attributions = model.run("explain", image=inputs)["attributions"]
        for style in STYLES:
            files = model.run(style.kind, image=inputs)["heatmap_bytes"]
            found = np.stack([tf.io.decode_png(file).numpy() for file in files])
            assert np.abs(found.astype(int) - draw(style, inputs, attributions)).max() <= 1
    assert isinstance(STYLES[0], Overlay)
