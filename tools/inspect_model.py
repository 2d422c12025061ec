"""Describes a model: its signatures, which of them can be explained and at which layers, its size.

  tfgig-inspect /models/name
  tfgig-inspect model.keras
  tfgig-inspect https://.../model.tar.gz
  tfgig-inspect --json model.keras | jq '.signatures.serving_default.places[].name'
  tfgig-inspect --check /models/name
  tfgig-inspect --check --batching_parameters_file=batching_parameters.txt /models/name

No part of the model runs: neither a SavedModel, which is a program that has your permissions when
loaded by other means, nor Python code in a .keras or .h5 file unless you allow it.

--check reports problems for TensorFlow Serving, one line per finding with its fix. The exit status
is 1 if there are any; notes, such as a missing lane, do not count.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from absl import flags
from tfgig_tools import command_line, program

from tfgig.models.inspection import Inspection, SignatureReport, inspect_model
from tfgig.models.sources.load import located
from tfgig.serving.deployment.contract import check_contract
from tfgig.serving.deployment.options import read_batching

ALLOW_UNSAFE_DESERIALIZATION = flags.DEFINE_boolean(
    "allow_unsafe_deserialization",
    False,
    "Run Python code stored in a .keras or .h5 file (Lambda layers). The code has all your "
    "permissions: use this only for files that you trust.",
)
OP_LIBRARY = flags.DEFINE_multi_string(
    "op_library", [], "A shared library with operations that the model needs; may be repeated."
)
CHECK = flags.DEFINE_boolean(
    "check", False, "Check a SavedModel against the requirements of TensorFlow Serving."
)
BATCHING_PARAMETERS = flags.DEFINE_string(
    "batching_parameters_file",
    None,
    "With --check: also check this file of TensorFlow Serving's batching parameters.",
)
JSON = program.define_json("Print what is found as JSON.")
TOPICS = {
    "What is printed": ("check", "batching_parameters_file", "json"),
    "The model": ("op_library", "allow_unsafe_deserialization"),
    "General": ("program_version",),
}


_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def main(arguments: Sequence[str]) -> int:
    """Inspects the model and prints the result."""
    if len(arguments) != 2:
        raise ValueError(
            "Name one model: a SavedModel's directory, archive or address, or a .keras or .h5 "
            f"file. Received: {' '.join(arguments[1:])!r}."
        )
    for library in OP_LIBRARY.value:
        command_line.load_op_library(library)
    if BATCHING_PARAMETERS.value is not None and not CHECK.value:
        raise ValueError("--batching_parameters_file needs --check.")
    if CHECK.value:
        return _check(arguments[1])
    found = inspect_model(arguments[1], ALLOW_UNSAFE_DESERIALIZATION.value)
    if JSON.value:
        plain = dataclasses.asdict(dataclasses.replace(found, endpoints={}))
        endpoints = {name: endpoint.to_config() for name, endpoint in found.endpoints.items()}
        program.print_json({**plain, "endpoints": endpoints})
    else:
        _print(found)
    return 0


def _check(handle: str) -> int:
    file = BATCHING_PARAMETERS.value
    batching = None if file is None else read_batching(file)
    with located(handle) as place:
        if place.file is not None and not place.file.exists():
            raise FileNotFoundError(f"There is no model at {handle!r}.")
        if place.file is not None:
            raise ValueError(f"--check needs a SavedModel. Received: {handle!r}, a Keras file.")
        found = check_contract(place.directory, batching)
    broken = any(not finding.note for finding in found)
    if JSON.value:
        program.print_json([dataclasses.asdict(finding) for finding in found])
        return 1 if broken else 0
    for finding in found:
        print(finding)
    if not broken:
        print(f"{handle}: TensorFlow Serving can serve it.")
    return 1 if broken else 0


def _print(found: Inspection) -> None:
    print(f"{found.handle}: {found.form}")
    sizes = ", ".join(f"{name} {_size(size)}" for name, size in found.sizes.items())
    print(f"  {sizes}; {found.parameters:,} parameters")
    if found.touches:
        print(
            "warning: it accesses files or devices outside the model when loaded or called: "
            f"{', '.join(found.touches)}. A SavedModel is a program; load only what you trust."
        )
    print("signatures:")
    for name, signature in found.signatures.items():
        inputs, outputs = _named(signature.inputs), _named(signature.outputs)
        print(f"  {name}: ({inputs}) -> {outputs or 'unknown'}")
        reason = signature.obstacle
        if reason:
            print(f"    cannot be explained: {reason}")
        else:
            print("    can be explained")
        if len(signature.explained) > 1:
            print(f"    explained unless named (--layer): {', '.join(signature.explained)}")
        if signature.left_out:
            print(f"    not explained unless named: {', '.join(signature.left_out)}")
        if signature.doubt:
            print(f"    {signature.doubt}")
        if signature.without_gradient:
            print(f"    operations without a gradient: {', '.join(signature.without_gradient)}")
        _print_places(signature)
    if found.endpoints:
        print("explanations (tfgig):")
    for name, endpoint in found.endpoints.items():
        print(f"  {name}: {json.dumps(endpoint.to_config())}")


def _print_places(signature: SignatureReport) -> None:
    """The layers that all of the score comes through, and what a step at them costs."""
    if not signature.places:
        return
    print("    places (--layer, At(place=...)), with the share of the cost behind them:")
    width = max(len(place.name) for place in signature.places)
    for place in signature.places:
        shape = " x ".join("?" if size is None else str(size) for size in place.shape)
        chosen = "  <- the default" if place.name == signature.found else ""
        print(f"      {place.name:{width}}  {shape:16} {place.behind:4.0%}{chosen}")


def _named(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name}: {words}" for name, words in tensors.items())


def _size(size: float) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
