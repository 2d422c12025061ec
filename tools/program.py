"""How a command-line program runs, and how it ends."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, cast

import absl.logging
from absl import app, flags
from tfgig_tools.usage import Topics, bold_headings, takes_colour, terminal_width, usage

from tfgig.printing import Printable, printable

FLAGS = flags.FLAGS
Main = Callable[[Sequence[str]], int]
# The extra of tfgig's that brings a package, by the name under which that is imported.
EXTRAS = {
    "PIL": "pictures",
    "matplotlib": "pictures",
    "scipy": "pictures",
    "skimage": "pictures",
    "threadpoolctl": "pictures",
    "tqdm": "pictures",
    "google.protobuf": "serving",
    "grpc": "serving",
    "prometheus_client": "serving",
    "requests": "serving",
    "starlette": "serving",
    "tensorflow_serving": "serving",
    "uvicorn": "serving",
    "yaml": "serving",
    "pandas": "bulk",
    "pyarrow": "bulk",
    "pyspark": "bulk",
}
_HELP = ("help", "helpshort")


class _VersionFlag(flags.BooleanFlag):
    """Prints the version and ends, whatever else is given or missing."""

    def __init__(self) -> None:
        super().__init__("program_version", False, "Print the version of tfgig and exit.")

    def parse(self, arg: Any) -> None:
        if arg:
            packages = ("tfgig", "tensorflow", "keras")
            print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
            sys.exit(0)


flags.DEFINE_flag(_VersionFlag())


def define_json(help_text: str) -> flags.FlagHolder[bool]:
    """Defines `--json`: standard output is one JSON value, for other programs to read."""
    return flags.DEFINE_boolean("json", False, help_text)


def print_json(value: Any) -> None:
    """Prints plain data as JSON; numbers that JSON does not have are null."""
    print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run(main: Main, module: str, doc: str, topics: Topics) -> None:
    """Runs a program's `main`; its docstring and its flags by topic make up `--help`.

    An expected error (bad input, a file that cannot be read or written) is one line on standard
    error and exit status 1; any other is a fault of the program and shows its trace. What is
    printed has no control characters, wherever it comes from.
    """
    # absl looks for both under the script that was started, which for an installed program is a
    # generated one.
    sys.modules["__main__"].__doc__ = doc
    own = FLAGS.get_key_flags_for_module(module)
    for flag in [*own, FLAGS["program_version"]]:
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.define_help_flags()
    for name in _HELP:
        cast(Any, FLAGS[name]).parse = functools.partial(_help, doc, topics, sys.stdout)
    full = cast(Any, FLAGS["helpfull"])
    full.parse = functools.partial(_full_help, full.parse)
    sys.stdout, sys.stderr = cast(Any, Printable(sys.stdout)), cast(Any, Printable(sys.stderr))
    app.run(functools.partial(report_errors, main))


def _help(doc: str, topics: Topics, stream: TextIO, value: Any) -> None:
    if value:
        text = usage(doc, topics, FLAGS, terminal_width())
        stream.write(bold_headings(text) if takes_colour(stream) else text)
        sys.exit(0)


def _full_help(parse: Callable[[Any], None], value: Any) -> None:
    """What was asked for was given: that is no failure, as absl has it."""
    try:
        parse(value)
    except SystemExit:
        sys.exit(0)


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Raises `ValueError` if there is more on the command line of a program than flags."""
    if len(arguments) > 1:
        raise ValueError(f"This program accepts only flags. Received: {' '.join(arguments[1:])!r}.")


def report_errors(main: Main, arguments: Sequence[str]) -> int:
    """What a `main` returns; 1 for an expected error, which is printed as one line."""
    if not FLAGS["verbosity"].present:
        absl.logging.set_verbosity(absl.logging.FATAL)  # what TensorFlow notes as it goes
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        status = main(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        if FLAGS.pdb_post_mortem or not str(error):
            raise
        print(f"error: {printable(in_words(error))}", file=sys.stderr)
        return 1


def in_words(error: Exception) -> str:
    """An expected error's text; of a package that is missing, what brings it."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    extra = next((e for package, e in EXTRAS.items() if f"{name}.".startswith(f"{package}.")), None)
    if extra is None:
        return str(error)
    return f"This needs the package {name!r}, which comes with pip install 'tfgig[{extra}]'."
