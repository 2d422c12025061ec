"""Images: the picture, and each method's map over it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from tfgig.image import Diverging, Grayscale, Mask, Overlay, Style
from tfgig.image.style import brightness
from tfgig.plots.colours import SIGNED, STRENGTH
from tfgig.plots.parts import Part
from tfgig.plots.subject import Subject
from tfgig.spec import check, nearest

STYLES = {
    "overlay": Overlay(),
    "mask": Mask(),
    "diverging": Diverging(),
    "grayscale": Grayscale(),
}


def style_of(style: str | Style) -> Style:
    """A style, or that of a name.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(style, Style):
        return style
    check(style in STYLES, f"Unknown style. {nearest(str(style), STYLES)}", style)
    return STYLES[style]


def draw_picture(axes: Axes, part: Part, subject: Subject, row: int) -> None:
    """The image as the model saw it."""
    image = _images(part, row)
    _show(axes, brightness(image, range_of(part, subject))[0, ..., :3].numpy())


def draw_map(axes: Axes, part: Part, subject: Subject, row: int, style: Style) -> None:
    """The explanation in a style."""
    images = _images(part, row)
    values = tf.constant(part.attributions[row : row + 1], tf.float32)
    if subject.layout is None and values.shape.rank != 4:
        raise ValueError(
            'A map needs a height and a width; draw others as kind="tokens" or "series". Received: '
            f"attributions of shape {part.attributions.shape}."
        )
    over = style.laid_over(values, images, subject.layout)
    _show(axes, style.draw(images, over, range_of(part, subject))[0].numpy())


def bar(axes: list[Axes], style: Style) -> None:
    """The colour bar of a style; a mask has no colours."""
    full = getattr(style, "percentile", 100)
    most = f"{full:g}th\npercentile\nand above"
    if isinstance(style, Diverging):
        shown, ticks, labels = (
            ScalarMappable(Normalize(-1, 1), SIGNED),
            [-1, 0, 1],
            [
                "against",
                "0",
                f"for,\n{most}",
            ],
        )
    elif isinstance(style, (Overlay, Grayscale)):
        colours = STRENGTH if isinstance(style, Overlay) else "gray"
        shown, ticks, labels = ScalarMappable(Normalize(0, 1), colours), [0, 1], ["0", most]
    else:
        return
    drawn = axes[0].figure.colorbar(shown, ax=axes, shrink=0.8, aspect=18, pad=0.02)
    drawn.set_ticks(ticks, labels=labels)
    drawn.ax.tick_params(labelsize=7, length=2)
    drawn.outline.set_visible(False)


def range_of(part: Part, subject: Subject) -> tuple[float, float]:
    """What is black and what is white; guessed from the images where it is not known."""
    if subject.value_range is not None:
        return subject.value_range
    low, high = (float(edge(_data(part))) for edge in (np.min, np.max))
    if low < 0:
        return (-1.0, 1.0) if low >= -1 and high <= 1 else (low, max(high, low + 1))
    return (0.0, 1.0) if high <= 1 else (0.0, max(high, 255.0))


def _data(part: Part) -> np.ndarray:
    return np.zeros([1, 1, 1, 1]) if part.data is None else part.data


def _images(part: Part, row: int) -> tf.Tensor:
    return tf.constant(_data(part)[row : row + 1], tf.float32)


def _show(axes: Axes, picture: np.ndarray) -> None:
    if picture.shape[-1] == 1:
        picture = np.repeat(picture, 3, -1)
    axes.imshow(picture, interpolation="nearest")
    axes.set_anchor("N")  # the layout keeps room for titles above the space, not above the picture
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
