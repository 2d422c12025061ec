r"""Measures how far explanations can be trusted: a model x methods x metrics x a dataset.

Prints a table with methods as rows, the best marked, and intervals by the bootstrap; writes each
example's results as they come (results.jsonl), the table (table.txt, table.csv), curves as figures
and, if asked, a report. A run that was stopped is continued by running it again. An image that
cannot be read is left out, counted and reported; the exit status is then 1.

  tfgig-evaluate --handle=shapes --output=/tmp/shapes --builtin.count=40 --report=report.html
  tfgig-evaluate --handle=model.keras --output=out --dataset=directory --directory.path=photos \
      --methods=ig,guided_ig --metrics=localization,insertion --keep=top_5
  tfgig-evaluate --handle=shapes --output=steps --methods=ig,ig_idgi --steps=8,16,32,64,128
  tfgig-evaluate --handle=shapes --output=anchors --methods=guided_ig_anchored \
      --anchors=0,10,20,40 --baselines=black,black_white,random_2
  tfgig-evaluate --handle=shapes --output=regions --methods=ig,guided_ig --regions=ig,guided_ig
  tfgig-evaluate --handle=shapes --output=part1 --shard=1/2    # here, and 2/2 elsewhere; then
  tfgig-evaluate --handle=shapes --output=all --merge=part1,part2

--handle takes what tfgig-export takes, or the name of a model that comes with tfgig. Every option
of every method, metric and dataset is a flag; --helpfull lists them.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any, cast

from absl import flags
from tfgig_tools import model_flags

import tfgig
from tfgig import command_line, presets, program, workers
from tfgig.evaluation import dataset as datasets
from tfgig.evaluation import experiment as experiments
from tfgig.evaluation import figures, running, table, variants
from tfgig.evaluation.report import write_report
from tfgig.evaluation.results import Results
from tfgig.metrics import Metric, Need
from tfgig.metrics.subject import PROBABILITIES, Judged, Probabilities
from tfgig.models import SourceModel
from tfgig.regions import XRAI, Regional
from tfgig.spec import members, nearest

METRICS: dict[str, Any] = {metric.kind: metric for metric in members(Metric)}
DATASETS = {dataset.kind: dataset for dataset in members(datasets.Dataset)}
_QUICK = [name for name, metric in METRICS.items() if not metric.needs & Need.EXPLANATIONS]

HANDLE = flags.DEFINE_string(
    "handle", None, f"The model, or one of {', '.join(model_flags.shipped())}.", required=True
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The experiment's directory; what it holds already is not done again.",
    required=True,
)
METHODS = flags.DEFINE_list("methods", list(presets.names()), "Which presets to compare.")
REGIONS = flags.DEFINE_list(
    "regions",
    [],
    "Of which of the methods, or all, to judge the map gathered over the segments of its image as "
    "well (XRAI), as <method>_regions.",
)
METRIC_NAMES = flags.DEFINE_list(
    "metrics",
    _QUICK,
    f"Which metrics, of: {', '.join(METRICS)}; or all. Those that are not on by default explain "
    "each example several times over.",
)
DATASET = flags.DEFINE_enum("dataset", "builtin", list(DATASETS), "Where the images come from.")
KEEP = flags.DEFINE_enum(
    "keep", "all", list(experiments.KEEPS), "Which images count, by the model's classes."
)
PROBABILITY = flags.DEFINE_enum(
    "probabilities", "as_is", list(PROBABILITIES), "How the model's output becomes probabilities."
)
STEPS = flags.DEFINE_list("steps", [], "Each method with each of these numbers of steps.")
ANCHORS = flags.DEFINE_list("anchors", [], "Each anchored method with each of these numbers.")
BASELINES = flags.DEFINE_list(
    "baselines",
    [],
    f"Each method with each of these: {', '.join(variants.named_baselines((0, 1)))}.",
)
RESAMPLES = flags.DEFINE_integer(
    "resamples", 500, "How often the bootstrap draws; 0 for no intervals.", lower_bound=0
)
MAPS = flags.DEFINE_integer("maps", 24, "How many examples the report shows.", lower_bound=0)
SHARD = flags.DEFINE_string(
    "shard", None, "Do one part of the images only: 2/4 is the second of four."
)
MERGE = flags.DEFINE_list(
    "merge", [], "Directories of parts (--shard) whose results are put together in --output."
)
WORKERS = flags.DEFINE_integer(
    "workers",
    workers.cores(),
    "How many processes help with metrics (information curves take most of the time); 0 or 1 for "
    "none. The results are the same.",
    lower_bound=0,
)
REPORT = flags.DEFINE_string("report", None, "Write a page with table, curves and maps here.")
flags.adopt_module_key_flags(model_flags)
command_line.define_spec_flags("target", tfgig.targets.ClassScore(), __name__)
command_line.define_preset_flags()
command_line.define_spec_flags("xrai", XRAI())
for _name, _spec in {**METRICS, **DATASETS}.items():
    command_line.define_spec_flags(_name, _spec())


def main(arguments: Sequence[str]) -> int:
    """Runs the experiment, or what is left of it, and reports."""
    if len(arguments) > 1:
        raise ValueError(f"Only flags are taken. Received: {' '.join(arguments[1:])!r}.")
    source = model_flags.load(HANDLE.value)
    experiment = _experiment(source)
    output = pathlib.Path(OUTPUT.value)
    results = _run(experiment, source, output)
    made = table.make_table(results, experiment.metrics, RESAMPLES.value)
    text = table.render(made) + "\n" + "\n".join(table.notes(results, experiment.metrics)) + "\n"
    print(text)
    (output / "table.txt").write_text(text)
    (output / "table.csv").write_text(table.to_csv(made))
    drawn = figures.draw_curves(results, experiment.metrics, output / "figures")
    drawn += figures.draw_steps(made, output / "figures")
    print(f"Wrote results.jsonl, table.txt, table.csv and {len(drawn)} figures to {output}/.")
    if REPORT.value:
        write_report(REPORT.value, results, experiment, source, made, drawn)
        print(f"Wrote {REPORT.value}.")
    for name, reason in results.unreadable().items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return 1 if results.unreadable() else 0


def _experiment(source: SourceModel) -> experiments.Experiment:
    source_range = source.value_range or (0.0, 1.0)
    methods = variants.variants(
        _methods(),
        command_line.numbers(STEPS, int, "whole numbers, such as 8,16"),
        command_line.numbers(ANCHORS, int, "whole numbers, such as 0,10"),
        {name: variants.baseline_of(name, source_range) for name in BASELINES.value},
    )
    names = list(METRICS) if METRIC_NAMES.value == ["all"] else METRIC_NAMES.value
    for name in names:
        if name not in METRICS:
            raise ValueError(f"No metric of the name {name!r}. {nearest(name, METRICS)}")
    command_line.refuse_unused({name: f"--metrics={name}" for name in METRICS}, names)
    command_line.refuse_unused({name: f"--dataset={name}" for name in DATASETS}, [DATASET.value])
    return experiments.Experiment(
        methods,
        {name: command_line.spec_from_flags(name, METRICS[name]()) for name in names},
        command_line.spec_from_flags(DATASET.value, DATASETS[DATASET.value]()),
        command_line.spec_from_flags("target", tfgig.targets.ClassScore()),
        cast(Probabilities, PROBABILITY.value),
        cast(experiments.Keep, KEEP.value),
        MAPS.value,
    )


def _methods() -> dict[str, Judged]:
    methods = command_line.methods_from_flags(METHODS.value)
    names = list(methods) if REGIONS.value == ["all"] else REGIONS.value
    for name in names:
        if name not in methods:
            raise ValueError(f"--regions={name} is not among --methods. {nearest(name, methods)}")
    command_line.refuse_unused({"xrai": "--regions=<methods>"}, ["xrai"] if names else [])
    xrai = command_line.spec_from_flags("xrai", XRAI())
    return {**methods, **{f"{name}_regions": Regional(methods[name], xrai) for name in names}}


def _run(experiment, source, output) -> Results:
    from tqdm import tqdm

    print(
        f"Judging {len(experiment.methods)} methods of {source.name} by "
        f"{len(experiment.metrics)} metrics ...",
        file=sys.stderr,
    )
    shard, total = _shard(), experiment.dataset.size()
    left = None if total is None else shard.size(total)
    with tqdm(total=left, unit="image", disable=None) as progress:
        if MERGE.value:
            return running.merge(
                experiment, source, output, MERGE.value, progress.update, WORKERS.value
            )
        return running.run(experiment, source, output, progress.update, shard, WORKERS.value)


def _shard() -> running.Shard:
    text = SHARD.value or "1/1"
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    shard = running.Shard(*map(int, found.groups())) if found else None
    if shard is None or not 1 <= shard.place <= shard.of:
        raise ValueError(f"--shard takes a part of n, such as 2/4. Received: {text!r}.")
    return shard


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__)


if __name__ == "__main__":
    run()
