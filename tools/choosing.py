"""The study behind `tfgig-reproduce choosing`: every method, evaluated on the same images."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping
from typing import Any, cast

from absl import flags
from tfgig_tools import command_line

import tfgig
from tfgig.evaluation import choosing, running, table
from tfgig.evaluation import experiment as experiments
from tfgig.evaluation.dataset import Dataset
from tfgig.metrics.subject import Probabilities
from tfgig.models import SourceModel

PICTURES = 6  # images whose maps are drawn

METHODS = flags.DEFINE_list(
    "methods", [], "choosing: the methods to compare, presets or <name>_smoothed. (default: all)"
)
MEASURES = flags.DEFINE_list(
    "measures", [], f"choosing: any of {', '.join(choosing.MEASURES)}. (default: all)"
)


def check_flags() -> set[str]:
    """Rejects unknown names; returns the metrics to measure."""
    choosing.methods(METHODS.value)
    return set(choosing.measures(MEASURES.value))


def choose(
    sources: Mapping[str, SourceModel],
    dataset: Dataset,
    output: pathlib.Path,
    keep: str | None,
    probabilities: str,
    resamples: int,
    workers: int,
) -> str:
    """Measures every method on every model and draws the maps; returns the tables."""
    texts = []
    for label, source in sources.items():
        judged = choosing.methods(METHODS.value)
        shown = {
            name: measure._replace(metric=command_line.spec_from_flags(name, measure.metric))
            for name, measure in choosing.measures(MEASURES.value).items()
        }
        experiment = experiments.Experiment(
            judged,
            {name: measure.metric for name, measure in shown.items()},
            dataset,
            command_line.spec_from_flags("target", tfgig.targets.ClassScore()),
            cast(Probabilities, probabilities),
            cast(experiments.Keep, keep or "correct"),
            maps=PICTURES,
        )
        directory = output / f"choosing-{label}"
        results, seconds = _measure(experiment, source, directory, workers)
        text = choosing.render(results, judged, shown, seconds.per_image(), resamples)
        left_out = results.left_out()
        examples = {line["example"] for line in results.lines} - set(left_out)
        text = f"{label}: {len(examples)} images\n\n{text}"
        notes = table.notes(results, experiment.metrics)
        texts.append(text + "".join(f"\n{note}" for note in notes) + "\n")
        _draw(experiment, source, results, output / f"choosing-{label}.jpg")
    return "\n".join(texts)


def _measure(
    experiment: experiments.Experiment, source: SourceModel, directory: pathlib.Path, workers: int
) -> tuple[Any, choosing.Seconds]:
    from tqdm import tqdm

    size, count = experiment.dataset.size(), len(experiment.methods)
    print(f"choosing: {count} methods on {size} images ...", file=sys.stderr)
    seconds = choosing.Seconds(directory)
    # An explanation is the longest thing there is to wait for, so it is what progress counts.
    with tqdm(total=None if size is None else size * count, unit="map", disable=None) as progress:

        def clock(method: str, images: int, taken: float, cores: float) -> None:
            seconds.add(method, images, taken, cores)
            progress.set_postfix_str(method, refresh=False)
            progress.update(images)

        results = running.run(experiment, source, directory, workers=workers, clock=clock)
    return results, seconds


def _draw(
    experiment: experiments.Experiment, source: SourceModel, results: Any, file: pathlib.Path
) -> None:
    out = results.left_out()
    kept = []
    for item in experiment.dataset.items(experiments.image_shape(source)):
        if item.name not in out:
            kept.append((item.name, item.image, item.mask))
        if len(kept) == PICTURES:
            break
    if kept:
        choosing.draw(results, kept, file)
