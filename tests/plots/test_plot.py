"""Pictures of explanations say what is in the numbers, and are drawn of all kinds of data."""

import matplotlib.figure
import numpy as np
import pytest

import tfgig
from tests.cases import CLASSES, image_model, images
from tfgig.plots.captions import broken
from tfgig.plots.parts import parts_of
from tfgig.plots.subject import Subject

IG = tfgig.PathIntegral(steps=2)
NUMBERS = {
    "target": np.array([1, 0]),
    "score": np.array([0.9, 0.25]),
    "baseline_score": np.array([0.5, 0.5]),
    "delta": np.array([-0.002, 0.0]),
    "error": np.array([0.031, 0.0]),
    "ok": np.array([True, False]),
}


def explained(*shape, name="attributions", seed=0):
    return {name: np.random.default_rng(seed).normal(size=(2, *shape)), **NUMBERS}


def words(figure):
    """All that is written, drawn so that labels are made."""
    figure.canvas.draw()
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


@pytest.fixture(scope="module")
def explanation():
    source = tfgig.load_model(image_model()).with_labels([f"name{i}" for i in range(CLASSES)])
    return tfgig.Explainer(source, "gradient")(images(2), target=3)


@pytest.mark.parametrize("style", ["overlay", "mask", "diverging", "grayscale"])
def test_an_image(explanation, style):
    figure = tfgig.plot(explanation, style=style, rows=1)
    assert isinstance(figure, matplotlib.figure.Figure)
    score = float(explanation["score"][1])
    written = " ".join(" ".join(words(figure)).split())
    assert f"name3: score {score:.3g} (baseline " in written
    assert "gradient" in words(figure)
    pictures = [a.get_images()[0].get_array() for a in figure.axes if a.get_images()]
    assert [picture.shape for picture in pictures] == [(12, 10, 3)] * 2
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    assert len(bars) == (style != "mask")


@pytest.mark.parametrize("rows", [1, [0, 1]])
def test_titles_are_within_the_figure(explanation, rows):
    figure = tfgig.plot({"one": explanation, "two": explanation}, rows=rows)
    figure.canvas.draw()
    titles = [axis.get_title(loc="left") and axis._left_title for axis in figure.axes]
    tops = [title.get_window_extent().y1 for title in titles if title]
    assert len(tops) == 3 * np.size(rows)
    assert max(tops) <= figure.bbox.y1 + 2  # the space above capitals


def test_the_places_of_several_scales_have_captions_of_their_own():
    source = tfgig.load_model(image_model())
    found = tfgig.Explainer(source, "multiscale_ig")(images(1))
    places = [name.removeprefix("delta_") for name in found if name.startswith("delta_")]
    written = words(tfgig.plot(found))
    assert places
    assert {f"multiscale_ig at {place}" for place in places} < set(written)


def test_methods_side_by_side_and_rows(explanation):
    figure = tfgig.plot({"one": explanation, "two": explanation})
    pictures = [axis for axis in figure.axes if axis.get_images()]
    assert len(pictures) == 2 * 3
    assert words(figure).count("two") == 2
    with pytest.raises(ValueError, match=r"`rows` must be among the 2.*Received: 2"):
        tfgig.plot(explanation, rows=2)


def test_beside_other_methods_several_scales_are_their_map():
    scales = explained(4, 4, 3) | {"attributions_block": np.ones([2, 2, 2, 5])}
    figure = tfgig.plot({"ig": explained(4, 4, 3), "scales": scales}, np.zeros([2, 4, 4, 3]))
    assert len([axis for axis in figure.axes if axis.get_images()]) == 2 * 3  # with the input
    assert not any("block" in text for text in words(figure))


def test_a_caption_is_as_wide_as_its_picture():
    lines = ["Egyptian cat: score 0.437 (baseline 0.000505)", "delta +0.085, error 5.67 %"]
    assert broken(lines, 60) == lines
    assert broken(lines, 40) == ["Egyptian cat: score 0.437", "(baseline 0.000505)", lines[1]]
    assert broken(lines[1:], 15) == ["delta +0.085,", "error 5.67 %"]


def test_what_a_client_answers_is_drawn_over_the_images_it_sent():
    answer = explained(6, 5, 3)
    with pytest.raises(ValueError, match=r"needs its images.*inputs="):
        tfgig.plot(answer)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3))
    written = words(tfgig.plot(answer, pixels, class_names=["cat", "dog"]))
    assert "dog: score 0.9 (baseline 0.5)\ndelta \N{MINUS SIGN}0.002, error 3.1 %" in written
    assert "this row could not be explained" in written


def test_a_table_is_sorted_by_size_and_the_others_are_added_up():
    answer = explained(5)
    answer["attributions"][0] = [0.1, -3, 2, -0.2, 0.4]
    names = ["a", "b", "c", "d", "$e$"]
    figure = tfgig.plot(
        answer, np.arange(10).reshape(2, 5), feature_names=names, rows=0, max_display=4
    )
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["b = 1", "c = 2", "$e$ = 4", "2 others"]
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [-3, 2, 0.4, -0.1])
    assert "\N{MINUS SIGN}3" in words(figure)
    assert len({bar.get_facecolor() for bar in axis.patches}) == 2  # the signs


def test_inputs_of_one_number_each_are_one_table():
    answer = {"attributions_age": np.ones((2, 1)), "attributions_income": -np.ones((2, 1))}
    (part,) = parts_of(answer, Subject(inputs={"age": np.ones((2, 1)), "income": np.zeros((2, 1))}))
    assert (part.kind, part.names) == ("table", ("age", "income"))
    np.testing.assert_array_equal(part.data, [[1, 0], [1, 0]])


def test_a_category_is_one_bar_with_its_value():
    """At its embedding, [B, 1, width], beside numbers."""
    answer = {"attributions_city": np.full((2, 1, 4), 0.25), "attributions_facts": np.ones((2, 2))}
    given = {"city": np.array([[b"Basel"], [b"Zurich"]], object), "facts": np.ones((2, 2))}
    (part,) = parts_of(answer, Subject(inputs=given, inner=True))
    assert (part.kind, part.names) == ("table", ("city", "facts 0", "facts 1"))
    np.testing.assert_allclose(part.attributions[0], 1)
    assert "city = Zurich" in words(tfgig.plot(answer | NUMBERS, given, rows=1))


def test_several_inputs_are_panels():
    answer = {"attributions_photo": np.ones((2, 6, 5, 3)), "attributions_facts": np.ones((2, 3))}
    given = {"photo": np.ones((2, 6, 5, 3)), "facts": np.ones((2, 3))}
    figure = tfgig.plot(answer | NUMBERS, given, rows=0)
    assert {"photo", "facts 2 = 1"} <= set(words(figure))


def test_tokens_are_coloured_by_sign_and_padding_is_left_out():
    answer = explained(4, name="tokens")
    answer["tokens"][0] = [-2, 1, 0, 0]
    answer["token_text"] = np.array([[b"not", "$b\u00e4d$".encode(), b"", b""]] * 2, object)
    figure = tfgig.plot(answer, rows=0)
    axis = figure.axes[0]
    (against, _, blue), (red, _, other) = (box.get_facecolor()[:3] for box in axis.patches)
    assert blue > against
    assert red > other
    assert {"not", "$b\u00e4d$", "\N{MINUS SIGN}2", "+1"} <= set(words(figure))
    assert "a" in words(tfgig.plot(explained(3, name="tokens"), tokens=["a", "b", "c"]))
    answer["tokens"][0] = [-2, 1, 0.25, 0.25]
    figure = tfgig.plot(answer, rows=0)
    assert len(figure.axes[0].patches) == 3
    assert {"2 \N{MULTIPLICATION SIGN} padding", "+0.5"} <= set(words(figure))


def test_a_series_is_a_line_in_the_colours_of_its_steps():
    answer, data = explained(7, 2), np.random.default_rng(1).normal(size=(2, 7, 2))
    figure = tfgig.plot(answer, data, feature_names=["left", "right"], rows=0)
    assert {"left", "right"} <= set(words(figure))
    for channel, axis in enumerate(figure.axes[:2]):
        (lines,) = axis.collections
        ends = [segment[0, 0] for segment in lines.get_segments()]
        coloured = lines.get_array()[np.searchsorted(ends, range(7), side="right") - 1]
        np.testing.assert_allclose(coloured, answer["attributions"][0, :, channel])
    assert parts_of(answer, Subject(inputs={"x": data}))[0].kind == "series"
    assert parts_of(answer, Subject(inputs={"x": np.ones((2, 7))}))[0].kind == "tokens"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"kind": "text"}, "`kind` must be one of.*Received: 'text'"),
        ({"style": "overlai"}, "Unknown style.*Did you mean 'overlay'"),
        ({"max_display": 1}, "at least 2"),
        ({"feature_names": ["a"]}, "one name for each of the 3 columns"),
    ],
)
def test_what_cannot_be_drawn_is_named(changed, named):
    with pytest.raises(ValueError, match=named):
        tfgig.plot(explained(3), **changed)


def test_what_is_no_explanation_is_named():
    with pytest.raises(ValueError, match="heatmap_bytes already are pictures"):
        tfgig.plot({"heatmap_bytes": np.array([b""])})
    with pytest.raises(ValueError, match="same inputs"):
        tfgig.plot({"a": explained(3), "b": explained(2, 2, name="tokens")})
