"""Explains image files through the signatures of an exported SavedModel.

  tfgig-explain --model=/models/name --images='photos/*.jpg' --output=explanations
  tfgig-explain --model=/models/name --labels=labels.txt --methods=guided_ig photos/*.jpg
  tfgig-explain --model=/models/name --style=mask --mask.percentile=80 photos/*.jpg
  tfgig-explain --model=/models/name --regions --xrai.ranking=fast photos/*.jpg
  tfgig-explain --list

Writes, for each image and method, a picture (<image>_<method>.png), the attributions (<image>.npz)
and, in results.json, the explained class, its score, delta (the completeness gap) and error (the
estimated relative integration error of the attributions).

Unreadable images are reported and skipped; the exit status is then 1.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf
from absl import flags
from tfgig_tools import catalogue, command_line, program

from tfgig import presets
from tfgig.exported import kinds
from tfgig.exported.description import (
    Description,
    EndpointDescription,
    read_description,
    read_labels,
)
from tfgig.exported.directory import latest
from tfgig.exported.signatures import SERVING_DEFAULT, target_of
from tfgig.image import Style
from tfgig.image.axes import array_from_picture, as_picture
from tfgig.image.files import (
    FITS,
    Fit,
    encoded_image,
    files_by_name,
    in_units,
    read_image,
    write_picture,
)
from tfgig.local import local_path
from tfgig.methods.error import exceeds_change
from tfgig.regions import XRAI
from tfgig.serving import SessionModel
from tfgig.spec import members, nearest
from tfgig.targets import TOP_CLASS, counts_classes

MODEL = flags.DEFINE_string(
    "model", None, "An exported model's directory (its newest version), or a version."
)
IMAGES = flags.DEFINE_multi_string(
    "images", [], "Image files, as a pattern such as 'photos/*.jpg'; may be repeated."
)
METHODS = flags.DEFINE_list("methods", [], "Which of the model's methods to run; by default all.")
OUTPUT = flags.DEFINE_string("output", "explanations", "The output directory.")
TARGET = flags.DEFINE_integer("target", -1, "The class to explain; -1 for each image's top class.")
LABELS = flags.DEFINE_string(
    "labels",
    None,
    "A text file with class names, one per line; by default those stored in the export.",
)
TOP = flags.DEFINE_integer("top", 3, "Number of top classes to report.", lower_bound=1)
FIT = flags.DEFINE_enum(
    "fit", "crop", list(FITS), "How to fit an image to the model's size and aspect ratio."
)
LIST = flags.DEFINE_boolean(
    "list", False, "List every named method with its options and cost, and exit."
)
REGIONS = flags.DEFINE_boolean(
    "regions", False, "Also aggregate each map over image segments (XRAI)."
)
command_line.define_choice_flags("style", Style, "How to draw pictures.", __name__)
command_line.define_spec_flags("xrai", XRAI(), __name__)


JSON = program.define_json("Print what is in results.json, and no lines of text.")
TOPICS = {
    "What is explained": ("model", "images", "methods", "target", "fit"),
    "Results": ("output", "labels", "top", "json"),
    "Pictures": ("style", *(f"{kind.kind}.*" for kind in members(Style))),
    "Regions": ("regions", "xrai.*"),
    "General": ("list", "program_version"),
}


def main(arguments: Sequence[str]) -> int:
    """Explains every image with every method; returns 1 if any failed."""
    if LIST.value:
        print("\n\n".join(catalogue.text(catalogue.describe(name)) for name in presets.names()))
        return 0
    if not MODEL.value:
        raise ValueError("Name an exported model: --model=/models/name; --list needs none.")
    patterns = [*IMAGES.value, *arguments[1:]]
    if not patterns:
        raise ValueError("Name images: --images='photos/*.jpg', or files after the flags.")
    files_by_name(patterns)  # a file that is missing is said before the model is looked at
    directory = latest(MODEL.value)
    description = read_description(directory)
    if not description.endpoints:
        raise ValueError(
            "This model has no explaining endpoints; export it with tfgig-export. Received: "
            f"{str(directory)!r}."
        )
    methods = _methods(description.endpoints)
    pictures = (f"_{name}{part}.png" for name in methods for part in ("", "_regions"))
    paths = files_by_name(patterns, [".npz", *pictures])
    style = command_line.choice_from_flags("style", Style)
    output = local_path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    with SessionModel(directory) as model:
        results, failures = _Program(model, description, methods, style, output).explain_all(paths)
    if JSON.value:
        program.print_json(results)
    else:
        count = f"{len(results['images'])} of {len(paths)}"
        print(f"Explained {count} images; pictures and numbers are in {output}/.")
    for path, reason in failures.items():
        named = reason if str(path) in reason else f"{path}: {reason}"
        print(f"error: {named}", file=sys.stderr)
    return 1 if failures else 0


class _Program:
    """One run over many images."""

    def __init__(
        self,
        model: SessionModel,
        description: Description,
        methods: dict[str, str],
        style: Style,
        output: pathlib.Path,
    ) -> None:
        inputs, picture = description.inputs, description.picture
        if len(inputs) != 1 or picture is None:
            raise ValueError(
                "This program explains models with one image input; call the signatures of other "
                "models yourself."
            )
        if description.value_range is None:
            raise ValueError(
                "This export has no value range for the model's input; export it again with "
                "--value_range=0,255, or 0,1, or -1,1."
            )
        self._model, self._methods, self._style = model, methods, style
        (self._input,), self._shape = inputs, cast(tuple[Any, Any, int], picture.shape[1:])
        self._encoded = self._input.dtype == "string"
        self._endpoints = {m: description.endpoints[s] for m, s in methods.items()}
        self._explained = self._endpoints[next(iter(methods))].output
        self._value_range = description.value_range
        self._data_format = description.data_format
        self._output = output
        xrai = command_line.spec_from_flags("xrai", XRAI())
        self._xrai = xrai if REGIONS.value else None
        self._labels = read_labels(LABELS.value) if LABELS.value else description.labels

    def explain_all(
        self, paths: dict[str, pathlib.Path]
    ) -> tuple[dict[str, Any], dict[pathlib.Path, str]]:
        """Explains the images by the names of their results.

        Returns:
            What is in results.json, and by image what failed, and why.
        """
        from tqdm import tqdm

        images: list[dict[str, Any]] = []
        results = {"model": MODEL.value, "images": images}
        failures: dict[pathlib.Path, str] = {}
        with tqdm(total=len(paths) * len(self._methods), unit="map", disable=None) as progress:
            for name, path in paths.items():
                progress.set_postfix_str(path.name)
                try:
                    images.append(self._explain(name, path, progress.update))
                except (OSError, ValueError) as error:
                    failures[path] = str(error)
                    continue
                except tf.errors.InvalidArgumentError as error:  # such as a file damaged inside
                    failures[path] = f"the model rejects it: {error.message.splitlines()[0]}"
                    continue
                if not JSON.value:
                    self._print(images[-1], progress.write)
                # Written anew after each image: a run that is cut short keeps what it has.
                text = json.dumps(results, indent=2)
                (self._output / "results.json").write_text(text + "\n")
        return results, failures

    def _explain(self, name: str, path: pathlib.Path, count: Any) -> dict[str, Any]:
        # A model that decodes its images stretches them.
        fit = "stretch" if self._encoded else FIT.value
        pixels = read_image(path, self._shape, cast(Fit, fit))
        image = in_units(pixels, self._value_range)[np.newaxis]
        given = {self._input.name: self._as_input(path, image)}
        serving = "serving_image_bytes" if self._encoded else SERVING_DEFAULT
        if serving not in self._model.signatures:  # it decoded images before it was explained
            serving = SERVING_DEFAULT
        prediction = self._model.run(serving, **given)
        # All methods of a run explain one output, that of the first; it may be one of another
        # signature than serving_default, and then there are no classes to name.
        top = self._top(prediction.get(self._explained or "", np.empty(0)))
        result: dict[str, Any] = {"image": str(path), "top": top, "methods": {}}
        segments = self._xrai.segmentation(pixels) if self._xrai else None
        maps: dict[str, Any] = {}
        for method, signature in self._methods.items():
            started = time.perf_counter()
            explanation = self._run(method, signature, given)
            maps[method] = self._laid_over(method, explanation.pop("attributions"), image)
            at_places = [key for key in explanation if key.startswith("attributions_")]
            maps |= {f"{method}_{key}": explanation.pop(key) for key in at_places}
            picture = self._draw(f"{name}_{method}.png", image, maps[method])
            if self._xrai is not None:
                regions = self._xrai.rank(maps[method], segments)
                maps[f"{method}_regions"], maps[f"{method}_ranks"] = regions
                # From the least important region up: the picture shows which stand out.
                above = regions.strength - regions.strength.min()
                self._draw(f"{name}_{method}_regions.png", image, above[..., np.newaxis])
            result["methods"][method] = {
                **{key: value.item() for key, value in explanation.items()},
                "label": self._target_name(method, int(explanation["target"])),
                "seconds": round(time.perf_counter() - started, 3),
                "picture": picture,
            }
            count(1)
        np.savez_compressed(self._output / f"{name}.npz", image=image[0], **maps)
        return result

    def _as_input(self, path: pathlib.Path, image: np.ndarray) -> np.ndarray:
        if self._encoded:
            return np.array([encoded_image(path)], object)
        whole = np.issubdtype(self._input.dtype, np.integer)
        image = array_from_picture(image, self._data_format)
        return (np.round(image) if whole else image).astype(self._input.dtype)

    def _run(self, method: str, signature: str, given: dict[str, np.ndarray]) -> dict[str, Any]:
        """One explanation, without the batch axis."""
        called = str(target_of(self._model.signatures[signature]))
        explanation = self._model.run(signature, **given, **{called: np.array([TARGET.value])})
        if not explanation.pop("ok")[0]:
            missing = f", or there is no {self._target_name(method, TARGET.value)}"
            raise ValueError(
                f"{signature} gave no explanation: a score or a gradient is not finite"
                f"{missing if TARGET.value != TOP_CLASS else ''}."
            )
        return {key: value[0] for key, value in explanation.items()}

    def _laid_over(self, method: str, attributions: np.ndarray, image: np.ndarray) -> np.ndarray:
        """A layer's attributions at the image's size; a pixel's are as they are."""
        layout = self._endpoints[method].layout
        given = tf.constant(attributions[np.newaxis])
        if layout is None:
            given = as_picture(given, self._data_format)
        return self._style.laid_over(given, tf.constant(image), layout).numpy()[0]

    def _draw(self, name: str, image: np.ndarray, attributions: np.ndarray) -> str:
        attributions = attributions[np.newaxis].astype(np.float32)
        drawn = self._style.draw(image, attributions, self._value_range)
        write_picture(self._output / name, drawn.numpy()[0])
        return name

    def _print(self, result: dict[str, Any], write: Any) -> None:
        top = ", ".join(f"{entry['label']} {entry['score']:.3f}" for entry in result["top"])
        write(f"{result['image']}: {top}")
        for method, found in result["methods"].items():
            # Attributions that are not meant to add up to the score have no error to show.
            complete = self._endpoints[method].complete
            delta = f"{found['delta']:+.2e}" if complete else "-"
            error = f"{found['error']:.1%}" if "error" in found else "-"  # exported before it was
            write(
                f"  {method:22} {found['label']:24.24} score {found['score']:9.4f}  "
                f"delta {delta:>9}  error {error:>6}  {found['seconds']:6.2f} s"
            )
            ends = found["score"], found["baseline_score"]
            if complete and exceeds_change(found["delta"], *ends):
                write("    delta is larger than the change of the score: not an explanation")

    def _top(self, prediction: np.ndarray) -> list[dict[str, Any]]:
        """The classes of the highest scores; of a prediction other than [1, classes], none."""
        classes = prediction.shape[-1] if prediction.ndim > 1 else 0
        if self._labels is not None and len(self._labels) != classes > 0:
            raise ValueError(
                f"--labels has {len(self._labels)} names, but the model has {classes} classes."
            )
        if prediction.ndim != 2:
            return []
        (scores,) = prediction
        best = np.argsort(scores)[::-1][: TOP.value].tolist()
        return [{"class": i, "label": self._name(i), "score": scores[i].item()} for i in best]

    def _target_name(self, method: str, index: int) -> str:
        """What a method was asked: the number of a target is not always that of a class."""
        is_class = counts_classes(self._endpoints[method].target["kind"])
        return self._name(index) if is_class else f"target {index}"

    def _name(self, index: int) -> str:
        names = self._labels or ()
        return names[index] if 0 <= index < len(names) else f"class {index}"


def _methods(endpoints: Mapping[str, EndpointDescription]) -> dict[str, str]:
    """The signatures to call, by the methods' names."""
    known = {
        name.removeprefix(kinds.Attributions.prefix): name
        for name, endpoint in endpoints.items()
        if endpoint.kind == kinds.ATTRIBUTIONS
        and (endpoint.layout or [len(tensor.shape) for tensor in endpoint.explained] == [4])
    }
    if not known:
        raise ValueError(
            "None of this model's endpoints returns attributions that fit an image; add some with "
            f"tfgig-export. Received: {', '.join(endpoints)}."
        )
    for name in METHODS.value:
        if name not in known:
            raise ValueError(f"The model has no method {name!r}. {nearest(name, known)}")
    return {name: known[name] for name in METHODS.value or known}


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
