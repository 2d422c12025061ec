r"""Repeats published experiments on your own models and images, or compares all methods.

  tfgig-reproduce --table=guided_ig/1
  tfgig-reproduce --table=idgi/insertion,idgi/insertion_ratio --builtin.count=100
  tfgig-reproduce --table=guided_ig/2 --handles=https://tfhub.dev/... --shape=224,224,3 \
      --value_range=0,1 --probabilities=softmax --dataset=records --records.path='validation-*'
  tfgig-reproduce choosing --builtin.count=16
  tfgig-reproduce choosing --handles=model.keras --value_range=0,255 --dataset=directory \
      --directory.path=photos

Prints, for each table, the measured beside the published values, and for how many pairs of methods
the order agrees. Results are stored and resumed as by tfgig-evaluate.

`choosing` compares all methods at their defaults on the same images: localization (ROC-AUC),
insertion, deletion, DiffID, SIC, `error`, delta, gradients and seconds, with 95 % intervals over
images; <name>_smoothed is a smoothed pixel map. It writes choosing.md and, for each model, a
picture with the maps of six images. --measures=localization,integration_error skips the slow
metrics.

By default it uses the two bundled models and generated images. This takes minutes, not days, and
the numbers differ from ImageNet's; compare only the order of the methods.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import Any, cast

from absl import flags
from tfgig_tools import choosing, command_line, model_flags, program, spark_flags

import tfgig
from tfgig import demonstration, workers
from tfgig.evaluation import comparison, protocols, running, table
from tfgig.evaluation import dataset as datasets
from tfgig.evaluation import experiment as experiments
from tfgig.evaluation.results import Results
from tfgig.metrics import Metric
from tfgig.metrics.subject import PROBABILITIES, Probabilities
from tfgig.spec import members

DATASETS = {dataset.kind: dataset for dataset in members(datasets.Dataset)}

TABLES = flags.DEFINE_list(
    "table", [], f"The published tables to repeat, of: {', '.join(protocols.names())}."
)
HANDLES = flags.DEFINE_list("handles", demonstration.names(), "The models.")
OUTPUT = flags.DEFINE_string("output", "tfgig-reproduce", "The directory for results.")
DATASET = flags.DEFINE_enum("dataset", "builtin", list(DATASETS), "Where the images come from.")
KEEP = flags.DEFINE_enum(
    "keep",
    None,
    list(experiments.KEEPS),
    "Which images to keep, by the model's prediction; by default as in the paper.",
)
PROBABILITY = flags.DEFINE_enum(
    "probabilities", "as_is", list(PROBABILITIES), "How to get probabilities from the output."
)
RESAMPLES = flags.DEFINE_integer(
    "resamples", 500, "Number of bootstrap draws; 0 for no intervals.", lower_bound=0
)
WORKERS = flags.DEFINE_integer(
    "workers",
    workers.cores(),
    "Number of worker processes for metrics; 0 or 1 for none. Results do not depend on it.",
    lower_bound=0,
)
TRIPS = flags.DEFINE_integer(
    "trips",
    None,
    "Closed paths per image; by default 50, as in the paper, or 2 on the built-in images.",
    lower_bound=1,
)
SKIP = flags.DEFINE_list(
    "skip",
    None,
    "Skip table rows whose names contain any of these. (default: none; on the built-in images "
    "SmoothGrad, 25 times as slow as the others)",
)
flags.adopt_module_key_flags(model_flags)
flags.adopt_module_key_flags(spark_flags)
flags.adopt_module_key_flags(choosing)
command_line.define_spec_flags("target", tfgig.targets.ClassScore(), __name__)
for _name, _spec in DATASETS.items():
    command_line.define_spec_flags(_name, _spec(**({"count": 24} if _name == "builtin" else {})))
for _metric in members(Metric):
    if _metric.kind != "closed_path":
        command_line.define_spec_flags(_metric.kind, cast(Any, _metric)())


TOPICS = {
    "Published tables": ("table", "skip", "trips"),
    "choosing": ("methods", "measures"),
    "The experiment": ("handles", "dataset", "keep", "output", "resamples"),
    "Where it runs": ("workers", "master", "spark"),
    "What is explained": ("probabilities", "target.*"),
    "The models": model_flags.NAMES,
    "General": ("program_version",),
}


def main(arguments: Sequence[str]) -> int:
    """Measures and compares, table by table."""
    chooses = list(arguments[1:]) == ["choosing"]
    if len(arguments) > 1 and not chooses:
        given = " ".join(arguments[1:])
        raise ValueError(
            f"This program accepts only flags, or the word choosing. Received: {given!r}."
        )
    if chooses == bool(TABLES.value):
        given = "both" if chooses else "neither"
        raise ValueError(
            "Choose what to run: for example, --table=guided_ig/1 repeats a published table, and "
            f"the word choosing compares all methods. Received: {given!r}."
        )
    if not HANDLES.value:
        raise ValueError("--handles takes at least one model. Received: ''.")
    _check_flags(chooses)
    handles = list(dict.fromkeys(HANDLES.value))
    sources = _named([model_flags.load(handle) for handle in handles])
    if chooses:
        output = pathlib.Path(OUTPUT.value)
        text = choosing.choose(
            sources,
            _dataset(),
            output,
            KEEP.value,
            PROBABILITY.value,
            RESAMPLES.value,
            WORKERS.value,
        )
        print(text)
        (output / "choosing.md").write_text(text)
        return 0
    with spark_flags.session() as session:
        _compare(dict(zip(sources, handles, strict=True)), sources, session)
    return 0


def _compare(handles: dict[str, str], sources: dict[str, Any], session: Any) -> None:
    """Measures and prints the published tables."""
    for name in TABLES.value:
        cells, notes = {}, {}
        for label, source in sources.items():
            protocol = _adapted(protocols.get(name, source.value_range or (0.0, 1.0)))
            with model_flags.elsewhere(handles[label], session) as elsewhere:
                results = _measure(protocol, source, label, elsewhere)
            cells[label] = {
                row: table.cells_of(
                    protocol.metric,
                    results.statistics(row, protocol.metric.kind),
                    RESAMPLES.value,
                    seed=0,
                )[protocol.column]
                for row in protocol.methods
            }
            notes[label] = table.notes(results, {protocol.metric.kind: protocol.metric})
        text = comparison.render(protocol, cells, notes)
        print(text)
        (pathlib.Path(OUTPUT.value) / f"{name.replace('/', '-')}.txt").write_text(text)


def _check_flags(chooses: bool) -> None:
    """Before anything is loaded: every table there is, and no option that nothing looks at."""
    if chooses:
        if spark_flags.MASTER.value:
            raise ValueError("choosing measures seconds, on this machine; leave --master out.")
        wanted = choosing.check_flags()
    else:
        wanted = {protocols.get(name, (0.0, 1.0)).metric.kind for name in TABLES.value}
    metrics = {metric.kind: f"a table of {metric.kind}" for metric in members(Metric)}
    command_line.refuse_unused(metrics, wanted)
    command_line.refuse_unused({name: f"--dataset={name}" for name in DATASETS}, [DATASET.value])


def _named(sources: Sequence[Any]) -> dict[str, Any]:
    """The models by name; of one name, which Keras gives to many, also by their weights."""
    names = [source.name for source in sources]
    return {
        s.name if names.count(s.name) == 1 else f"{s.name}-{experiments.fingerprint(s)[:6]}": s
        for s in sources
    }


def _adapted(protocol: protocols.Protocol) -> protocols.Protocol:
    """The protocol with what was given on the command line."""
    metric = protocol.metric
    if metric.kind == "closed_path":
        trips = TRIPS.value or (2 if DATASET.value == "builtin" else 50)
        metric = cast(Any, type(metric))(trips=trips)
    else:
        metric = command_line.spec_from_flags(metric.kind, metric)
    skip = ["SmoothGrad"] if DATASET.value == "builtin" else []
    skip = skip if SKIP.value is None else SKIP.value
    skipped = tuple(row for row in protocol.methods if any(name in row for name in skip))
    return protocol._replace(
        metric=metric,
        keep=cast(experiments.Keep, KEEP.value) or protocol.keep,
        methods={row: m for row, m in protocol.methods.items() if row not in skipped},
        skipped=skipped,
    )


def _dataset() -> datasets.Dataset:
    default = DATASETS[DATASET.value](**({"count": 24} if DATASET.value == "builtin" else {}))
    return command_line.spec_from_flags(DATASET.value, default)


def _measure(
    protocol: protocols.Protocol, source: Any, label: str, elsewhere: running.Elsewhere | None
) -> Results:
    from tqdm import tqdm

    experiment = experiments.Experiment(
        protocol.methods,
        {protocol.metric.kind: protocol.metric},
        _dataset(),
        command_line.spec_from_flags("target", tfgig.targets.ClassScore()),
        cast(Probabilities, PROBABILITY.value),
        protocol.keep,
        maps=0,
    )
    # Tables of one experiment, such as a probability and its ratio, share its results.
    paper, _, rest = protocol.name.partition("/")
    kind = "steps" if rest.startswith("steps") else rest if paper == "guided_ig" else "methods"
    directory = pathlib.Path(OUTPUT.value) / "-".join((paper, kind, protocol.metric.kind, label))
    print(f"{protocol.name}: {len(protocol.methods)} methods of {label} ...", file=sys.stderr)
    with tqdm(total=experiment.dataset.size(), unit="image", disable=None) as progress:
        return running.run(
            experiment,
            source,
            directory,
            progress.update,
            workers=WORKERS.value,
            elsewhere=elsewhere,
        )


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
