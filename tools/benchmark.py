r"""Measures how fast methods are beside the gradients they need, or how exact for their steps.

  tfgig-benchmark speed
  tfgig-benchmark speed --handles=mobilenet_v2,model.keras --methods=ig,guided_ig --rows=8
  tfgig-benchmark peers --environments=peers
  tfgig-benchmark accuracy
  tfgig-benchmark accuracy --handles=model.keras --dataset=directory --directory.path=photos

Speed is a share: the time of the bare gradients over that of the explanation; 1 is the limit. Both
are timed in one run, interleaved, for the Keras layer, for the exported signature in Python, and
for the export in a session, as TensorFlow Serving runs it. Networks with random weights, built
here: mobilenet_v2, resnet50_v2, inception_v3, vision_transformer, text_transformer.

Peers are other libraries, each in a Python environment of its own, timed in turn in one run, on
the CPU, with mobilenet_v2 or inception_v3: PAIR saliency, Xplique, Alibi, Captum. The commands that
make a missing environment are printed; together they take some gigabytes.

Accuracy is the true error of integrals along fixed paths by number of steps, beside the estimate in
every answer, and how many gradients bring 95 % of the images to an error of 10 %.

Writes speed.json, speed.md and a picture for each model; peers.json, peers.md and the like; or
accuracy.json, accuracy.md and accuracy.png.
"""

from __future__ import annotations

import functools
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from tfgig_tools import command_line, model_flags, program

import tfgig
from tfgig import demonstration, presets
from tfgig.benchmark import accuracy, models, speed
from tfgig.benchmark.peers import running as peers
from tfgig.evaluation import dataset as datasets
from tfgig.evaluation.experiment import image_shape
from tfgig.image.files import in_units
from tfgig.local import local_path
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.spec import Spec, leaves, members, nearest

_DATASETS = {dataset.kind: dataset() for dataset in members(datasets.Dataset)}
_DATASETS["builtin"] = demonstration.Builtin(count=16)
METHODS = {
    "speed": ("ig", "guided_ig", "blur_ig", "ig_idgi", "guided_ig_idgi", "blur_ig_idgi"),
    "peers": ("ig", "guided_ig", "blur_ig", "smooth_grad"),
    "accuracy": ("ig", "blur_ig", "ig_idgi", "blur_ig_idgi"),
}

HANDLES = flags.DEFINE_list(
    "handles",
    None,
    "The models. (default: mobilenet_v2 for speed and peers, the models that come with tfgig for "
    "accuracy)",
)
METHOD = flags.DEFINE_list(
    "methods", None, "Which presets. (default: integrals along paths; for peers, what they have)"
)
ROWS = flags.DEFINE_integer(
    "rows", 1, "speed, peers: how many rows are explained at once.", lower_bound=1
)
ROUNDS = flags.DEFINE_integer("rounds", 5, "speed, peers: how often each is timed.", lower_bound=1)
WAYS = flags.DEFINE_list("ways", list(speed.WAYS), f"speed: which of {', '.join(speed.WAYS)}.")
CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    list(speed.CLOCKS),
    "speed: what the table shows, elapsed time or that of the processor, which other programs on "
    "the machine disturb less.",
)
ENVIRONMENTS = flags.DEFINE_string(
    "environments",
    "peers",
    "peers: the folder of their environments, each called as its library is imported.",
)
STEPS = flags.DEFINE_list("steps", ["8", "16", "32", "64"], "accuracy: numbers of steps.")
DATASET = flags.DEFINE_enum(
    "dataset", "builtin", list(_DATASETS), "accuracy: where the images come from."
)
OUTPUT = flags.DEFINE_string("output", "tfgig-benchmark", "Where the results are written.")
flags.adopt_module_key_flags(model_flags)
for _name, _spec in _DATASETS.items():
    command_line.define_spec_flags(_name, _spec)
command_line.define_preset_flags()

TOPICS = {
    "What is measured": ("handles", "methods", "output"),
    "speed": ("rows", "rounds", "ways", "clock"),
    "peers": ("environments",),
    "accuracy": ("steps", "dataset"),
    "The models": model_flags.NAMES,
    "General": ("program_version",),
}


class Subject(NamedTuple):
    """A model that is measured.

    Args:
        handle: What it was called on the command line.
        source: The model.
        value_range: The least and the largest value of its inputs.
    """

    handle: str
    source: SourceModel
    value_range: tuple[float, float]


class Found(NamedTuple):
    """What was measured of a model.

    Args:
        drawn: What the picture shows.
        result: The same for JSON.
        text: The same in Markdown.
    """

    drawn: Any
    result: Any
    text: str


def main(arguments: Sequence[str]) -> int:
    """Measures one of the three."""
    if len(arguments) != 2 or arguments[1] not in METHODS:
        given = " ".join(arguments[1:])
        raise ValueError(f"Say what to measure: speed, peers or accuracy. Received: {given!r}.")
    (what,) = arguments[1:]
    methods = command_line.methods_from_flags(METHOD.value or METHODS[what])
    command_line.refuse_unused({name: f"--dataset={name}" for name in _DATASETS}, [DATASET.value])
    if what == "peers":
        _refuse_other_options(methods)
        _environments()
    output = local_path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    default = demonstration.names() if what == "accuracy" else ["mobilenet_v2"]
    texts, results, drawn = [], {}, {}
    for handle in HANDLES.value or default:
        subject = _subject(handle)
        found = MEASURES[what](subject, methods)
        name = subject.source.name
        drawn[name], results[handle] = found.drawn, found.result
        texts.append(f"{name}\n\n{found.text}")
        print(texts[-1], flush=True)
        # After each model, so that an error in the next loses nothing.
        (output / f"{what}.json").write_text(json.dumps(results, indent=1) + "\n")
        (output / f"{what}.md").write_text("\n".join(texts))
        _draw(what, drawn, output)
    return 0


def _subject(handle: str) -> Subject:
    """The model of a handle or of a network's name, and the range of its inputs."""
    network = models.NETWORKS.get(handle)
    if network is None:
        known = {*models.NETWORKS, *demonstration.names()}
        if handle.isidentifier() and handle not in known and not pathlib.Path(handle).exists():
            raise ValueError(f"There is no model {handle!r}. {nearest(handle, known)}")
        source = model_flags.load(handle)
        return Subject(handle, source, source.value_range or (0.0, 1.0))
    names = (network.input_name,)
    source = tfgig.load_model(network.build(), layer=network.layer, input_names=names)
    return Subject(handle, source, network.value_range)


def _speed(subject: Subject, methods: Mapping[str, Method]) -> Found:
    source = subject.source
    inputs = models.random_rows(source.inputs, ROWS.value, subject.value_range)
    told = functools.partial(_told, source.name)
    timings = speed.measure(source, methods, inputs, WAYS.value, ROUNDS.value, told)
    result = [{**timing._asdict(), "share": timing.share} for timing in timings]
    return Found(timings, result, speed.render(timings, CLOCK.value))


def _environments() -> Mapping[str, pathlib.Path]:
    """The peers that have an environment; how to make the others is said."""
    folder = local_path(ENVIRONMENTS.value)
    found = peers.found(folder)
    missing = "\n\n".join(peers.commands(name, folder) for name in peers.PEERS if name not in found)
    if not found:
        raise ValueError(f"There is no environment of a peer. These commands make them:\n{missing}")
    if missing:
        print(f"Left out, for they have no environment; to make it:\n{missing}", file=sys.stderr)
    return found


def _refuse_other_options(methods: Mapping[str, Method]) -> None:
    """Raises `ValueError` if a method differs from its preset in what peers are not told."""
    for name, method in methods.items():
        told = {option: value for option, value, _ in leaves(method) if not isinstance(value, Spec)}
        preset = {option: value for option, value, _ in leaves(presets.get(name))}
        for option, value in told.items():
            count = option.split(".")[-1] in ("steps", "samples", "internal_batch_size")
            if not count and preset.get(option) != value:
                raise ValueError(
                    "Peers are told the number of gradients and no other option. Leave out "
                    f"--{name}.{option}. Received: {value!r}."
                )


def _peers(subject: Subject, methods: Mapping[str, Method]) -> Found:
    handle, source, value_range = subject
    found = peers.found(local_path(ENVIRONMENTS.value))
    inputs = models.random_rows(source.inputs, ROWS.value, value_range)
    told = functools.partial(_told, source.name)
    timings, versions = peers.measure(handle, source, methods, inputs, found, ROUNDS.value, told)
    lines = [f"{peers.title(name)}: {version}" for name, version in versions.items()]
    result = {"versions": versions, "timings": [timing._asdict() for timing in timings]}
    return Found(timings, result, peers.render(timings) + "\n" + "\n".join(lines) + "\n")


def _accuracy(subject: Subject, methods: Mapping[str, Method]) -> Found:
    source = subject.source
    steps = command_line.numbers(STEPS, int, "whole numbers, such as 8,16,32")
    dataset = command_line.spec_from_flags(DATASET.value, _DATASETS[DATASET.value])
    items = [item for item in dataset.items(image_shape(source)) if item.unreadable is None]
    images = in_units(np.stack([item.image for item in items]), subject.value_range)
    images = images.astype(source.inputs[0].dtype.as_numpy_dtype)
    told = functools.partial(_told, source.name)
    errors = accuracy.measure(source, methods, [images], steps, told=told)
    result = [
        {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in pairs}
        for pairs in (error._asdict().items() for error in errors)
    ]
    return Found(errors, result, f"{len(images)} images\n\n{accuracy.render(errors)}")


def _draw(what: str, drawn: Mapping[str, Any], output: pathlib.Path) -> None:
    """Draws what was measured of all models so far, errors of all in one picture."""
    if what == "accuracy":
        accuracy.draw(drawn, str(output / "accuracy.png"))
        return
    for name, timings in drawn.items():
        file = str(output / f"{what}-{name}.png")
        if what == "peers":
            peers.draw(timings, file)
        else:
            speed.draw(timings, file, CLOCK.value)


def _told(model: str, what: str) -> None:
    print(f"{model}: {what} ...", file=sys.stderr)


MEASURES = {"speed": _speed, "peers": _peers, "accuracy": _accuracy}


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
