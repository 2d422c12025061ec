r"""Explains many rows through an exported SavedModel, on all cores or on Spark.

  tfgig-bulk --model=/models/flowers --input=photos/ --output=out --method=ig
  tfgig-bulk --model=/models/credit --input=customers.parquet --output=out --id=customer \
      --kind=features --columns='{"numbers": ["age", "income"]}'
  tfgig-bulk --model=/models/reviews --input=reviews.jsonl --output=out --kind=tokens --resume
  tfgig-bulk --model=/models/flowers --input=/data/photos --output=/data/out --method=ig \
      --master=spark://host:7077    # input and output under one path on every machine
  tfgig-bulk summarize out    # by class: columns, tokens or the mean map; out/summary.html and .png

Reads Parquet, CSV, JSON lines, TFRecords or a directory of images; writes Parquet: a row's id, the
explained target, score, baseline score, delta, error, ok (with the reason where it is false) and
attributions, as the exported signature returns them.

--resume continues an interrupted run and writes every row once. Rows that cannot be explained are
counted, and files that cannot be read are listed in out/rejected; the exit status is then 1.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

from absl import flags
from tfgig_tools import program, spark_flags

from tfgig.bulk import Settings, on_this_machine, prepare, report, run_job, settings, summarize
from tfgig.bulk.running import Engine, Prepared, default_workers
from tfgig.bulk.sources import FORMATS
from tfgig.bulk.spark import on_spark
from tfgig.bulk.tally import count_up
from tfgig.image.files import FITS
from tfgig.local import local_path

MODEL = flags.DEFINE_string(
    "model", None, "An exported model's directory (its newest version), or a version."
)
INPUT = flags.DEFINE_string("input", None, "A file, a directory, or a pattern such as 'day=*/*'.")
OUTPUT = flags.DEFINE_string("output", None, "The directory for the answers.")
FORMAT = flags.DEFINE_enum(
    "format", None, list(FORMATS), "The input's format; by default inferred from the file names."
)
METHOD = flags.DEFINE_string(
    "method", None, "A method, such as ig, or a signature; optional if there is only one."
)
KIND = flags.DEFINE_enum(
    "kind", "attributions", list(settings.KINDS), "Which part of a row's explanation to write."
)
TARGET = flags.DEFINE_string(
    "target", "-1", "The class to explain, or a column of classes; -1 for each row's top class."
)
COLUMNS = flags.DEFINE_string(
    "columns",
    None,
    'By input, the column or the columns of numbers that hold it, as JSON: \'{"image": "content", '
    '"numbers": ["age", "income"]}\'. By default, each input is the column of its name.',
)
ID = flags.DEFINE_string("id", None, "The id column; by default the file and row number.")
REDUCE = flags.DEFINE_enum(
    "reduce", "none", list(settings.REDUCTIONS), "How to sum attributions over channels."
)
DTYPE = flags.DEFINE_enum("dtype", "float32", list(settings.DTYPES), "The type of attributions.")
HEATMAPS = flags.DEFINE_boolean("heatmaps", False, "Also keep the method's heat-maps (PNG).")
FIT = flags.DEFINE_enum("fit", "crop", list(FITS), "How to fit images to the model's size.")
BATCH = flags.DEFINE_integer(
    "batch", 0, "Rows per batch; 0 for as many as fit in 4 MiB, at most 256.", lower_bound=0
)
PART_ROWS = flags.DEFINE_integer(
    "part_rows", 0, "Rows per output file, the most a kill loses; 0 for 16 batches.", lower_bound=0
)
WORKERS = flags.DEFINE_integer(
    "workers",
    None,
    "Worker processes; 0 or 1 for none. By default one per core, or none with a GPU.",
    lower_bound=0,
)
CLASSES = flags.DEFINE_integer(
    "classes", 10, "summarize: number of classes, most frequent first.", lower_bound=0
)
TOP = flags.DEFINE_integer("top", 20, "summarize: number of columns or tokens.", lower_bound=1)
RESUME = flags.DEFINE_boolean("resume", False, "Continue the run in --output.")
flags.adopt_module_key_flags(spark_flags)


JSON = program.define_json("Print what the job came to as JSON.")
TOPICS = {
    "What is explained": ("model", "input", "format", "columns", "id", "fit"),
    "How": ("method", "target", "batch"),
    "What is kept": ("output", "kind", "reduce", "dtype", "heatmaps", "part_rows", "resume"),
    "Where it runs": ("workers", "master", "spark"),
    "summarize": ("classes", "top"),
    "General": ("json", "program_version"),
}


def main(arguments: Sequence[str]) -> int:
    """Explains the remaining rows of the input."""
    if arguments[1:2] == ["summarize"]:
        return _summarize(arguments[2:])
    program.refuse_arguments(arguments)
    output = _given(OUTPUT)
    prepared = prepare(
        _given(MODEL),
        _given(INPUT),
        output,
        _settings(),
        FORMAT.value,
        PART_ROWS.value,
        RESUME.value,
    )
    _run(prepared)
    tally = count_up(output)
    if JSON.value:
        program.print_json(tally.to_config())
    else:
        print(tally.text())
        print(f"Wrote {len(prepared.plan.parts)} parts to {output}/.")
    return 1 if tally.rejected or tally.bad else 0


def _summarize(directories: Sequence[str]) -> int:
    if len(directories) != 1:
        raise ValueError(f"Give one output directory. Received: {' '.join(directories)!r}.")
    output = local_path(directories[0])
    summaries = summarize(output, CLASSES.value, TOP.value)
    pictures = report.write_pictures(summaries, output)
    report.write_page(summaries, pictures, count_up(output), output / "summary.html")
    written = [*pictures, output / "summary.html"]
    if JSON.value:
        program.print_json({"wrote": [str(path) for path in written]})
        return 0
    for path in written:
        print(f"Wrote {path}")
    return 0


def _given(flag: flags.FlagHolder) -> str:
    if not flag.value:
        raise ValueError(f"--{flag.name} is required; see --help.")
    return flag.value


def _run(prepared: Prepared) -> None:
    from tqdm import tqdm

    with (
        _engine() as engine,
        tqdm(
            total=prepared.total, initial=prepared.done, unit="row", smoothing=0.05, disable=None
        ) as progress,
    ):
        if prepared.done:
            progress.write(f"{prepared.done} of {prepared.total} rows are finished.", sys.stderr)
        run_job(prepared, engine, progress.update)


@contextlib.contextmanager
def _engine() -> Iterator[Engine]:
    with spark_flags.session() as session:
        if session is not None:
            yield on_spark(session)
        else:
            yield on_this_machine(default_workers() if WORKERS.value is None else WORKERS.value)


def _settings() -> Settings:
    return Settings(
        METHOD.value,
        KIND.value,
        _target(TARGET.value),
        _columns(COLUMNS.value),
        ID.value,
        cast(settings.Reduce, REDUCE.value),
        cast(settings.Dtype, DTYPE.value),
        HEATMAPS.value,
        cast(Any, FIT.value),
        BATCH.value,
    )


def _target(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _columns(text: str | None) -> dict[str, str | tuple[str, ...]]:
    wrong = ValueError(
        '--columns takes a JSON object such as \'{"numbers": ["age", "income"]}\'. '
        f"Received: {text!r}."
    )
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise wrong from error
    if not isinstance(found, dict):
        raise wrong
    columns = {}
    for name, value in found.items():
        several = [value] if isinstance(value, str) else value
        if not isinstance(several, list) or not all(isinstance(c, str) for c in several):
            raise wrong
        columns[name] = value if isinstance(value, str) else tuple(several)
    return columns


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
