"""Demonstrates explanations of a real model by signatures in its own SavedModel.

  tfgig-demo
  tfgig-demo --methods=ig,smooth_grad,boundary_ig,edge
  tfgig-demo --images=32 --output=sheet.png --keep=/tmp/models/shapes

Exports a small shape classifier with every method and calls the signatures as TensorFlow Serving
would, on images with known evidence. Reports for each method: the explained score, delta (the
completeness gap), the time per image, and the ROC-AUC of the heat-map against the evidence (1 is
perfect, 0.5 chance). Draws everything on one sheet.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags
from tfgig_tools import program

import tfgig
from tfgig import demonstration, presets
from tfgig.demonstration import scenes
from tfgig.exported.description import read_description
from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.image import Overlay
from tfgig.image.layout import Layout
from tfgig.local import local_path
from tfgig.methods import Method
from tfgig.metrics import pixel_saliency, roc_auc
from tfgig.serving import SessionModel
from tfgig.temporary import TemporaryDirectory

OUTPUT = flags.DEFINE_string("output", "tfgig-demo.png", "The output file: .png, .jpg or .pdf.")
IMAGES = flags.DEFINE_integer("images", 8, "Number of images to explain.", lower_bound=1)
SHOWN = flags.DEFINE_integer("shown", 5, "Number of images to draw.", lower_bound=1)
METHODS = flags.DEFINE_list(
    "methods",
    "gradient,ig,guided_ig,blur_ig,ig_idgi,guided_ig_idgi,grad_cam,block_ig,multiscale_ig",
    f"Which methods to show, of: {', '.join(presets.names())}.",
)
SEED = flags.DEFINE_integer("seed", 3, "The seed of the generated images.")
KEEP = flags.DEFINE_string("keep", None, "Keep the exported model in this directory.")


_WIDTH = 13  # characters of a title on one line
JSON = program.define_json("Print the table as JSON.")
TOPICS = {
    "The demonstration": ("images", "methods", "seed"),
    "What is kept": ("output", "shown", "keep"),
    "General": ("json", "program_version"),
}


class Row(NamedTuple):
    """One method's results: maps [n, height, width], and score, delta and AUC per image [n]."""

    saliency: np.ndarray
    score: np.ndarray
    delta: np.ndarray
    auc: np.ndarray
    seconds: float

    def means(self) -> dict[str, float]:
        """Over images, as they are printed."""
        return {
            "score": float(self.score.mean()),
            "delta": float(np.abs(self.delta).mean()),
            "seconds": self.seconds,
            "auc": float(self.auc.mean()),
        }


def main(arguments: Sequence[str]) -> int:
    """Exports, explains, measures and draws."""
    program.refuse_arguments(arguments)
    examples = scenes.compose(IMAGES.value, seed=SEED.value, split="test")
    with TemporaryDirectory("tfgig-") as temporary:
        methods = {name: presets.get(name) for name in METHODS.value}
        directory = _export(local_path(KEEP.value or temporary.path / "shapes"), methods)
        with SessionModel(directory) as model:
            images = examples.images.astype(np.float32)
            predicted = model.run(SERVING_DEFAULT, image=images)["output_0"].argmax(1)
            described = read_description(directory).endpoints
            layouts = {name: described[f"explain_{name}"].layout for name in methods}
            rows = _explain(model, layouts, images, examples.masks)
    right = int((predicted == examples.labels).sum())
    if JSON.value:
        program.print_json(
            {
                "images": len(images),
                "right": right,
                "methods": {name: row.means() for name, row in rows.items()},
            }
        )
    else:
        _print_table(rows)
        print(f"The model classifies {right} of {len(images)} shapes correctly.")
    _draw(examples, predicted, rows)
    _say(f"Drew {OUTPUT.value}: the first {min(SHOWN.value, len(images))} images.")
    return 0


def _say(line: str) -> None:
    """What is no result goes to standard error where results are for a program."""
    print(line, file=sys.stderr if JSON.value else sys.stdout)


def _export(path: Any, methods: dict[str, Method]) -> pathlib.Path:
    started = time.perf_counter()
    directory = tfgig.export_saved_model(demonstration.load("shapes"), path, methods)
    seconds = time.perf_counter() - started
    _say(f"Exported the model of shapes with {len(methods)} methods in {seconds:.0f} s.")
    return pathlib.Path(directory)


def _explain(
    model: SessionModel,
    layouts: dict[str, Layout | None],
    images: np.ndarray,
    masks: np.ndarray,
) -> dict[str, Row]:
    from tqdm import tqdm

    rows = {}
    style = Overlay(smoothing=0.0)
    for name, layout in tqdm(layouts.items(), unit="method", leave=False, disable=None):
        call = f"explain_{name}"
        model.run(call, image=images[:1])  # the first call of a signature prepares its graph
        started = time.perf_counter()
        explanation = model.run(call, image=images, target=np.full(len(images), -1))
        seconds = (time.perf_counter() - started) / len(images)
        attributions = explanation["attributions"]
        saliency = pixel_saliency(attributions, None, layout)
        auc = [roc_auc(s, m) for s, m in zip(saliency, masks, strict=True)]
        rows[name] = Row(
            style.saliency(style.laid_over(tf.constant(attributions), images, layout)).numpy(),
            explanation["score"],
            explanation["delta"],
            np.array(auc),
            seconds,
        )
    return rows


def _print_table(rows: dict[str, Row]) -> None:
    print(f"\n{'method':22}{'score':>8}{'|delta|':>12}{'s/image':>10}{'ROC-AUC':>10}")
    best = max(rows, key=lambda name: rows[name].auc.mean())
    for name, row in rows.items():
        # Attributions that are not meant to add up to the score have no error to show.
        complete = presets.get(name).complete
        delta = f"{np.abs(row.delta).mean():.1e}" if complete else "-"
        mark = "  best" if name == best else ""
        print(
            f"{name:22}{row.score.mean():8.4f}{delta:>12}{row.seconds:10.3f}"
            f"{row.auc.mean():10.3f}{mark}"
        )
    print(f"{'(chance)':52}{0.5:10.3f}\nMeans over {len(row.auc)} images.\n")


def _draw(examples: scenes.Scenes, predicted: np.ndarray, rows: dict[str, Row]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = min(SHOWN.value, len(examples.images))
    columns = len(rows) + 2
    figure, axes = pyplot.subplots(
        shown, columns, figsize=(1.6 * columns, 1.72 * shown + 0.5), squeeze=False
    )
    figure.patch.set_facecolor("#111111")
    for axis in axes.flat:
        axis.set_axis_off()
    text = {"color": "white", "fontsize": 8.5}
    titles = ["image", "evidence", *rows]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(_in_lines(title), pad=16, **text)
    for i in range(shown):
        pictures = [examples.images[i], examples.masks[i], *(r.saliency[i] for r in rows.values())]
        label = scenes.CLASSES[examples.labels[i]]
        said = scenes.CLASSES[predicted[i]]
        captions = [
            label if said == label else f"{label}, classified as {said}",
            "",
            *(f"AUC {row.auc[i]:.2f}" for row in rows.values()),
        ]
        for axis, picture, caption in zip(axes[i], pictures, captions, strict=True):
            axis.imshow(picture, cmap="gray" if picture.dtype == bool else "inferno")
            axis.text(0.5, 1.03, caption, transform=axis.transAxes, ha="center", **text)
    figure.tight_layout(pad=0.6)
    figure.savefig(OUTPUT.value, dpi=110, facecolor=figure.get_facecolor())
    pyplot.close(figure)


def _in_lines(title: str) -> str:
    """A long name on two lines, whole: `guided_ig_` above `idgi`."""
    if len(title) <= _WIDTH or "_" not in title:
        return title
    first, _, last = title.rpartition("_")
    return f"{first}_\n{last}"


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
