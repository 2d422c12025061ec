"""Speed: a method's time beside that of the bare gradients it evaluates, in one run, interleaved.

Absolute times are those of a machine. What carries over is the share: the time of the bare
gradients over the time of the explanation, 1 if everything else were free. Both sides evaluate as
many points in calls of the same size; every round takes each way once, so that a machine that slows
down slows all of them.
Where other programs share the cores, processor time tells more than elapsed time.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfgig import layers
from tfgig.benchmark import chart
from tfgig.explaining import Explaining
from tfgig.export import Endpoint, export_saved_model
from tfgig.methods import Method, Scales
from tfgig.methods.calls import points_per_call
from tfgig.models import SourceModel
from tfgig.paths import AdaptivePath
from tfgig.serving.runtime.session import SessionModel
from tfgig.spec import check, leaves
from tfgig.temporary import TemporaryDirectory

WAYS = ("layer", "signature", "session")
CLOCKS = ("wall", "cpu")


class Timing(NamedTuple):
    """How one method ran in one way.

    Args:
        method: Its name.
        way: "layer", the Keras layer; "signature", the export in `tf.saved_model.load`;
            "session", the export as TensorFlow Serving runs it.
        gradients: How many a row takes.
        shares: Of each round, the time of the bare gradients over that of the explanation.
        cpu_shares: The same of processor time, over all cores.
        seconds: The median time a row.
    """

    method: str
    way: str
    gradients: int
    shares: tuple[float, ...]
    cpu_shares: tuple[float, ...]
    seconds: float

    @property
    def share(self) -> float:
        """The median share."""
        return float(np.median(self.shares))


def bare(
    source: SourceModel, inputs: Sequence[np.ndarray], size: int | None = None
) -> tuple[Callable[[int], Any], int]:
    """Score and gradient and nothing else: `(calls)` evaluates that many calls in one graph.

    Args:
        source: The model; gradients are taken where it is cut.
        inputs: Of each of its inputs at least one row [rows, ...]; repeated to fill a call.
        size: How many points a call holds; None for as many as methods take.

    Returns:
        The function, and how many points a call holds.
    """
    size = points_per_call(size)
    rows = [np.resize(value, (size, *value.shape[1:])) for value in inputs]
    front = tf.function(lambda *given: source.cut.front(*given), autograph=False)
    points, *context = front(*map(tf.constant, rows))
    target, points = tf.zeros([size], tf.int64), tf.cast(points, tf.float32)

    @tf.function(autograph=False)
    def evaluate(calls, points, *context):
        # Made here, so that the function keeps the source, which keeps the weights.
        objective = Explaining(source).objective(source.cut)

        def turn(k, total):
            share = tf.cast(k, tf.float32) / tf.cast(calls, tf.float32)
            score, gradient = objective.score_and_gradient(points * share, target, *context)
            # One number of each, so that neither is left out, and their sum costs nothing.
            return k + 1, total + score[0] + tf.reshape(gradient, [-1])[0]

        loop = (lambda k, _: k < calls, turn, (0, 0.0))
        return tf.while_loop(*loop, parallel_iterations=1)[1]

    return lambda calls: evaluate(tf.constant(calls), points, *context).numpy(), size


class Limit(NamedTuple):
    """The bare gradients of a method.

    Args:
        run: Evaluates them.
        points: How many points a call holds.
        part: The share of the points that the method needs; the last call is full.
    """

    run: Callable[[], Any]
    points: int
    part: float


class Limits:
    """The bare gradients of methods, traced once for each place and size of a call.

    Args:
        source: The model.
        inputs: The rows that are explained, [rows, ...] for each input of the model.
    """

    def __init__(self, source: SourceModel, inputs: Sequence[np.ndarray]):
        self._source = source
        self._inputs = inputs
        self._traced: dict[tuple[str | None, int | None], tuple[Callable[[int], Any], int]] = {}

    def of(self, method: Method) -> Limit:
        """The gradients of a method where it looks, in calls of the size that it makes."""
        rows = len(self._inputs[0])
        place = layers.Explainer(self._source, method).place
        at = None if place is None else place.name
        # The points of an adaptive path come one after another: one of each row in a call.
        walks = any(isinstance(value, AdaptivePath) for _, value, _ in leaves(method))
        key = at, min(rows, points_per_call(None)) if walks else None
        if key not in self._traced:
            cut = self._source if at is None else self._source.at(at)
            self._traced[key] = bare(cut, self._inputs, key[1])
        evaluate, size = self._traced[key]
        points = rows * method.gradients
        calls = -(-points // size)
        return Limit(functools.partial(evaluate, calls), size, points / (calls * size))


def measure(
    source: SourceModel,
    methods: Mapping[str, Method],
    inputs: Sequence[np.ndarray],
    ways: Sequence[str] = WAYS,
    rounds: int = 5,
    told: Callable[[str], None] = lambda method: None,
) -> list[Timing]:
    """Times each method in each way beside the bare gradients at the place that it looks at.

    Args:
        source: The model.
        methods: What is timed, by name.
        inputs: The rows that are explained, [rows, ...] for each input of the model.
        ways: Which of `WAYS`.
        rounds: How often everything is timed.
        told: Called with a method's name when it is begun.

    Raises:
        ValueError: a way is unknown, or a method has no gradients of one place to compare with.
    """
    for way in ways:
        check(way in WAYS, f"A way is one of {', '.join(WAYS)}.", way)
    check(rounds >= 1, "`rounds` is a whole number of at least 1.", rounds)
    for name, method in methods.items():
        check(
            not isinstance(method, Scales) and method.gradients == method.fewest_gradients,
            "A share is of gradients at one place, as many for every row; leave this method out.",
            name,
        )
    found: list[Timing] = []
    rows = len(inputs[0])
    limits = Limits(source, inputs)
    with running(source, methods, inputs, ways) as runs:
        for name, method in methods.items():
            told(name)
            limit = limits.of(method)
            every: dict[str, Callable[[], Any]] = {
                "": limit.run,
                **{way: functools.partial(run, name) for way, run in runs.items()},
            }
            for run in every.values():
                run()  # traces, and optimises the graph
            taken = [{way: seconds(run) for way, run in every.items()} for _ in range(rounds)]
            for way in runs:
                # [rounds, 2], elapsed and processor time.
                shares = np.array([t[""] / t[way] for t in taken]) * limit.part
                per_row = float(np.median([t[way][0] for t in taken])) / rows
                wall, cpu = (tuple(of_clock.tolist()) for of_clock in shares.T)
                found.append(Timing(name, way, method.gradients, wall, cpu, per_row))
    return found


@contextlib.contextmanager
def running(
    source: SourceModel,
    methods: Mapping[str, Method],
    inputs: Sequence[np.ndarray],
    ways: Sequence[str],
) -> Iterator[dict[str, Callable[[str], Any]]]:
    """By the way's name: what runs a method, by its name, on the inputs."""
    runs: dict[str, Callable[[str], Any]] = {}
    with contextlib.ExitStack() as stack:
        if "layer" in ways:
            explainers = {name: layers.Explainer(source, m) for name, m in methods.items()}
            given: Any = list(inputs) if len(inputs) > 1 else inputs[0]
            runs["layer"] = lambda name: explainers[name](given)["attributions"].numpy()
        if {"signature", "session"} & set(ways):
            folder = stack.enter_context(TemporaryDirectory("tfgig-"))
            endpoints = [Endpoint(f"explain_{name}", m) for name, m in methods.items()]
            directory = export_saved_model(source, folder.path / "model", endpoints, warmup=())
            named = {spec.name: value for spec, value in zip(source.inputs, inputs, strict=True)}
            if "signature" in ways:
                signatures = tf.saved_model.load(str(directory)).signatures
                tensors = {key: tf.constant(value) for key, value in named.items()}
                tensors["target"] = tf.fill([len(inputs[0])], tf.constant(-1, tf.int64))
                runs["signature"] = lambda name: signatures[f"explain_{name}"](**tensors)[
                    "attributions"
                ].numpy()
            if "session" in ways:
                model = stack.enter_context(SessionModel(directory))
                runs["session"] = lambda name: model.run(f"explain_{name}", **named)
        yield runs


def seconds(run: Callable[[], Any]) -> np.ndarray:
    """The elapsed seconds and those of the processor, over all threads: [2]."""

    def now():
        return np.array([time.perf_counter(), time.process_time()])

    begin = now()
    run()
    return now() - begin


def spread(values: Sequence[float]) -> str:
    """The median of some values, and the least and the most."""
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def render(timings: Sequence[Timing], clock: str = "wall") -> str:
    """A table in Markdown: of each method its gradients, and the share in each way.

    Args:
        timings: Of any methods and ways.
        clock: "wall" for shares of elapsed time, "cpu" for those of processor time.
    """
    check(clock in CLOCKS, f"A clock is one of {', '.join(CLOCKS)}.", clock)
    ways = list(dict.fromkeys(timing.way for timing in timings))
    lines = [
        f"| {' | '.join(['method', 'gradients a row', *ways])} |",
        "|" + "---|" * (2 + len(ways)),
    ]
    for method in dict.fromkeys(timing.method for timing in timings):
        own = {timing.way: timing for timing in timings if timing.method == method}
        shares = [own[way].cpu_shares if clock == "cpu" else own[way].shares for way in ways]
        cells = [spread(of) for of in shares]
        gradients = next(iter(own.values())).gradients
        lines.append(f"| {' | '.join([f'`{method}`', str(gradients), *cells])} |")
    return "\n".join(lines) + "\n"


def draw(timings: Sequence[Timing], file: str, clock: str = "wall") -> None:
    """Draws the shares as bars, of each method one for each way.

    Args:
        timings: Of any methods and ways.
        file: The picture's file: .png, .pdf, .svg, ...
        clock: As in `render`.
    """
    groups: dict[str, dict[str, Sequence[float]]] = {}
    for timing in timings:
        shares = timing.cpu_shares if clock == "cpu" else timing.shares
        groups.setdefault(timing.method, {})[timing.way] = shares
    chart.bars(groups, "share of the bare gradients", file)
