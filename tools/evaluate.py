r"""Evaluates explanations: methods x metrics over a dataset, for one model.

  tfgig-evaluate --handle=shapes --output=/tmp/shapes --builtin.count=40 --report=report.html
  tfgig-evaluate --handle=model.keras --output=out --dataset=directory --directory.path=photos \
      --methods=ig,guided_ig --metrics=localization,insertion --keep=top_5
  tfgig-evaluate --handle=shapes --output=steps --methods=ig,ig_idgi --steps=8,16,32,64,128
  tfgig-evaluate --handle=shapes --output=anchors --methods=guided_ig_anchored \
      --anchors=0,10,20,40 --baselines=black,black_white,random_2
  tfgig-evaluate --handle=shapes --output=regions --methods=ig,guided_ig --regions=ig,guided_ig
  tfgig-evaluate --handle=shapes --output=part1 --shard=1/2    # here, and 2/2 elsewhere; then
  tfgig-evaluate --handle=shapes --output=all --merge=part1,part2
  tfgig-evaluate --handle=shapes --output=out --master=spark://host:7077    # the same file

Prints a table with one row per method, the best values marked, and bootstrap intervals. Writes each
example's results as they are computed (results.jsonl), the table (table.txt, table.csv), curves as
figures and, on request, an HTML report. Run the same command again to continue an interrupted run.
Unreadable images are skipped, counted and reported; the exit status is then 1.

--handle accepts whatever tfgig-export accepts, or the name of a bundled model. Every option of
every method, metric and dataset is a flag; see --helpfull.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, cast

from absl import flags
from tfgig_tools import command_line, model_flags, program, spark_flags

import tfgig
from tfgig import demonstration, presets, workers
from tfgig.evaluation import dataset as datasets
from tfgig.evaluation import experiment as experiments
from tfgig.evaluation import figures, running, table, variants
from tfgig.evaluation.report import write_report
from tfgig.evaluation.results import Results
from tfgig.local import local_path
from tfgig.metrics import Metric, Requirement
from tfgig.metrics.subject import PROBABILITIES, EvaluatedMethod, Probabilities
from tfgig.models import SourceModel
from tfgig.regions import XRAI, Regional
from tfgig.spec import members, nearest

METRICS: dict[str, Any] = {metric.kind: metric for metric in members(Metric)}
DATASETS = {dataset.kind: dataset for dataset in members(datasets.Dataset)}
_QUICK = [name for name, metric in METRICS.items() if not metric.needs & Requirement.EXPLANATIONS]

HANDLE = flags.DEFINE_string(
    "handle", None, f"The model, or one of {', '.join(demonstration.names())}.", required=True
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The directory of the experiment. Results that are already there are reused.",
    required=True,
)
METHODS = flags.DEFINE_list("methods", list(presets.names()), "Which presets to compare.")
REGIONS = flags.DEFINE_list(
    "regions",
    [],
    "Methods (or all) whose maps are also evaluated aggregated over image segments (XRAI), as "
    "<method>_regions.",
)
METRIC_NAMES = flags.DEFINE_list(
    "metrics",
    _QUICK,
    f"Which metrics, of: {', '.join(METRICS)}; or all. Those that are off by default explain each "
    "example several times.",
)
DATASET = flags.DEFINE_enum("dataset", "builtin", list(DATASETS), "Where the images come from.")
KEEP = flags.DEFINE_enum(
    "keep", "all", list(experiments.KEEPS), "Which images to keep, by the model's prediction."
)
PROBABILITY = flags.DEFINE_enum(
    "probabilities",
    "as_is",
    list(PROBABILITIES),
    "How to get probabilities from the output.",
)
STEPS = flags.DEFINE_list("steps", [], "Run each method with each of these numbers of steps.")
ANCHORS = flags.DEFINE_list("anchors", [], "Run each anchored method with each of these.")
BASELINES = flags.DEFINE_list(
    "baselines",
    [],
    f"Run each method with each of these baselines: {', '.join(variants.named_baselines((0, 1)))}.",
)
RESAMPLES = flags.DEFINE_integer(
    "resamples", 500, "Number of bootstrap draws; 0 for no intervals.", lower_bound=0
)
MAPS = flags.DEFINE_integer("maps", 24, "Number of examples in the report.", lower_bound=0)
SHARD = flags.DEFINE_string(
    "shard", None, "Process one part of the images: 2/4 is the second of four."
)
MERGE = flags.DEFINE_list("merge", [], "Directories of parts (--shard) to merge into --output.")
WORKERS = flags.DEFINE_integer(
    "workers",
    workers.cores(),
    "Number of worker processes for metrics (information curves take most of the time); 0 or 1 "
    "for none. Results do not depend on it.",
    lower_bound=0,
)
REPORT = flags.DEFINE_string("report", None, "Write an HTML report to this file.")
flags.adopt_module_key_flags(model_flags)
flags.adopt_module_key_flags(spark_flags)
command_line.define_spec_flags("target", tfgig.targets.ClassScore(), __name__)
command_line.define_preset_flags()
command_line.define_spec_flags("xrai", XRAI())
for _name, _spec in {**METRICS, **DATASETS}.items():
    command_line.define_spec_flags(_name, _spec())


JSON = program.define_json("Print the table as JSON: a list of its cells.")
TOPICS = {
    "The experiment": ("handle", "output", "dataset", "keep", "methods", "metrics", "regions"),
    "Variants of methods": ("steps", "anchors", "baselines"),
    "Results": ("resamples", "report", "maps", "json"),
    "Sharing the work": ("workers", "shard", "merge", "master", "spark"),
    "What is explained": ("probabilities", "target.*"),
    "The model": model_flags.NAMES,
    "General": ("program_version",),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the experiment, or the rest of it, and reports."""
    program.refuse_arguments(arguments)
    source = model_flags.load(HANDLE.value)
    experiment = _experiment(source)
    output = local_path(OUTPUT.value)
    results = _run(experiment, source, output)
    made = table.make_table(results, experiment.metrics, RESAMPLES.value)
    text = table.render(made) + "\n" + "\n".join(table.notes(results, experiment.metrics)) + "\n"
    if JSON.value:
        program.print_json(table.to_config(made))
    else:
        print(text)
    (output / "table.txt").write_text(text)
    (output / "table.csv").write_text(table.to_csv(made))
    drawn = figures.draw_curves(results, experiment.metrics, output / "figures")
    drawn += figures.draw_steps(made, output / "figures")
    said = sys.stderr if JSON.value else sys.stdout
    print(
        f"Wrote results.jsonl, table.txt, table.csv and {len(drawn)} figures to {output}/.",
        file=said,
    )
    if REPORT.value:
        write_report(REPORT.value, results, experiment, source, made, drawn)
        print(f"Wrote {REPORT.value}.", file=said)
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
            raise ValueError(f"Unknown metric {name!r}. {nearest(name, METRICS)}")
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


def _methods() -> dict[str, EvaluatedMethod]:
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
        f"Evaluating {len(experiment.methods)} methods on {source.name} with "
        f"{len(experiment.metrics)} metrics ...",
        file=sys.stderr,
    )
    shard, total = _shard(), experiment.dataset.size()
    left = None if total is None else shard.size(total)
    with (
        spark_flags.session() as session,
        model_flags.elsewhere(HANDLE.value, session) as elsewhere,
        tqdm(total=left, unit="image", disable=None) as progress,
    ):
        if MERGE.value:
            return running.merge(
                experiment,
                source,
                output,
                MERGE.value,
                progress.update,
                WORKERS.value,
                elsewhere,
            )
        return running.run(
            experiment,
            source,
            output,
            progress.update,
            shard,
            WORKERS.value,
            elsewhere=elsewhere,
        )


def _shard() -> running.Shard:
    text = SHARD.value or "1/1"
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    shard = running.Shard(*map(int, found.groups())) if found else None
    if shard is None or not 1 <= shard.place <= shard.of:
        raise ValueError(f"--shard takes a part of n, such as 2/4. Received: {text!r}.")
    return shard


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
