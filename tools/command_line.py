"""Flags that the command-line programs share: options of specs, and lists of numbers."""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from absl import flags

from tfgig import presets
from tfgig.methods import Method
from tfgig.spec import (
    Named,
    Spec,
    as_named,
    from_config,
    is_whole,
    leaves,
    members,
    nearest,
    replace_all,
)

FLAGS = flags.FLAGS


def numbers(
    flag: flags.FlagHolder,
    kind: type,
    expected: str,
    count: int | None = None,
    texts: Sequence[str] | None = None,
) -> Any:
    """A list flag's value as a tuple of numbers; None where the flag has no value.

    Args:
        flag: The flag.
        kind: `int` or `float`.
        expected: What it takes, in words.
        count: How many there must be; None for any.
        texts: The part of each entry that is the number; None for the whole.

    Raises:
        ValueError: it holds something else, or another count.
    """
    if flag.value is None:
        return None
    try:
        found = tuple(map(kind, flag.value if texts is None else texts))
    except ValueError:
        found = None
    if found is None or count not in (None, len(found)):
        raise ValueError(f"--{flag.name} takes {expected}. Received: {','.join(flag.value)!r}.")
    return found


def load_op_library(path: str) -> None:
    """Loads a shared library with operations of its owner's.

    Raises:
        OSError: there is none, or it was built for another TensorFlow.
    """
    import tensorflow as tf

    try:
        tf.load_op_library(path)
    except tf.errors.OpError as error:
        raise OSError(
            f"The library of operations cannot be loaded: {error.message} Received: {path!r}."
        ) from error


def define_spec_flags(name: str, spec: Spec, module: str | None = None) -> None:
    """Defines one flag for each option of a spec: `--<name>.<option>`, such as `--ig.steps`.

    An option that is itself a spec takes the `kind` of another of its family, with that one's
    defaults, `--ig.quadrature=gauss_legendre`, or a whole config as JSON,
    `--ig.path.baseline='{"kind": "baseline.uniform", "samples": 4}'`.

    Args:
        name: What the flags' names start with.
        spec: The spec with its defaults.
        module: The `__name__` of the program whose `--help` lists the flags; only `--helpfull`
            does if None.
    """
    for option, value, declared in leaves(spec):
        shown = value.kind if isinstance(value, Spec) else json.dumps(value)
        flags.DEFINE(
            _OptionParser(declared),
            f"{name}.{option}",
            None,
            f"{_help_of(spec, option)} (default: {shown})",
        )
        if module is not None:
            module = sys.argv[0] if module == "__main__" else module
            FLAGS.register_key_flag_for_module(module, FLAGS[f"{name}.{option}"])


def define_family_flag(name: str, family: type[Spec], help_text: str) -> None:
    """Defines `--<name>`, which takes the `kind` of a member of a family, or a config as JSON."""
    flags.DEFINE(_OptionParser(family), name, None, help_text)


def define_choice_flags(name: str, family: type[Spec], help_text: str, module: str) -> None:
    """Defines `--<name>=<kind>`, by default the first of a family, and every member's options.

    The options of a member are `--<kind>.<option>`.
    """
    kinds = {kind.kind: kind for kind in members(family)}
    first = next(iter(kinds))
    flags.DEFINE_enum(name, first, list(kinds), f"{help_text} Options: --<{name}>.<option>.")
    for kind, member in kinds.items():
        define_spec_flags(kind, member(), module)


def choice_from_flags(name: str, family: type[Spec]) -> Any:
    """The member of the family that was chosen, with its options from the command line.

    Raises:
        ValueError: options are given for a member that was not chosen.
    """
    kinds = {member.kind: f"--{name}={member.kind}" for member in members(family)}
    refuse_unused(kinds, [str(FLAGS[name].value)])
    (chosen,) = [member for member in members(family) if member.kind == FLAGS[name].value]
    return spec_from_flags(chosen.kind, chosen())


def refuse_unused(choices: Mapping[str, str], chosen: Collection[str]) -> None:
    """Refuses options of what was not chosen: they would be dropped without a word.

    Args:
        choices: By what the options' flags start with: the flag that chooses it.
        chosen: Which of them are chosen.

    Raises:
        ValueError: there are some.
    """
    for kind, flag in choices.items():
        if kind not in chosen and _given(kind):
            given = ", ".join(f"--{option}" for option in _given(kind))
            raise ValueError(f"{given} has no effect without {flag}.")


def define_preset_flags() -> None:
    """Defines the flags of every preset's options."""
    for name in presets.names():
        define_spec_flags(name, presets.get(name))


def spec_from_flags(name: str, spec: Any) -> Any:
    """The spec with the options that were given on the command line."""
    given = _given(name)
    try:
        return replace_all(spec, {f.removeprefix(f"{name}."): FLAGS[f].value for f in given})
    except ValueError as error:
        raise ValueError(f"{', '.join(f'--{flag}' for flag in given)}: {error}") from error


def methods_from_flags(names: Sequence[str]) -> dict[str, Method]:
    """The presets of these names, with their options from the command line.

    Raises:
        ValueError: an unknown name, or options given for a preset that is not among them.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"A method is named twice. Received: {', '.join(twice)}.")
    methods = {name: spec_from_flags(name, presets.get(name)) for name in names}
    for name in presets.names():
        if name not in methods and spec_from_flags(name, presets.get(name)) != presets.get(name):
            raise ValueError(f"Options are given for {name!r}, but it is not among the methods.")
    return methods


def _given(name: str) -> list[str]:
    """The flags of the options of `name` that were given."""
    return [flag for flag in FLAGS if flag.startswith(f"{name}.") and FLAGS[flag].present]


class _OptionParser(flags.ArgumentParser):
    """Reads the value of an option of a spec by its declared type."""

    def __init__(self, declared: Any) -> None:
        self._declared = declared
        self.syntactic_help = ""

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        return _parse(argument, self._declared)

    def flag_type(self) -> str:
        return str(getattr(self._declared, "__name__", self._declared))


def _parse(text: str, declared: Any) -> Any:
    if declared == Named:
        names = [name for name in text.split(",") if name]
        return None if text.lower() in ("none", "null") else as_named(names or None, "the place")
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        (some,) = [kind for kind in typing.get_args(declared) if kind is not types.NoneType]
        return None if text.lower() in ("none", "null", "") else _parse(text, some)
    if isinstance(declared, type) and issubclass(declared, Spec):
        kinds = {kind.kind: kind for kind in members(declared)}
        if text.startswith("{"):
            return from_config(_json(text))
        if text not in kinds:
            raise ValueError(f"unknown kind. {nearest(text, kinds)}")
        return kinds[text]()
    if declared is str or typing.get_origin(declared) is Literal:
        return text
    value = _json(text)
    if declared is int and not is_whole(value):
        raise ValueError("expected a whole number")
    if declared is float and not (is_whole(value) or isinstance(value, float)):
        raise ValueError("expected a number")
    return float(value) if declared is float else value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError("expected a number, true or false, or a list such as [0,0,0]") from error


def _help_of(spec: Spec, option: str) -> str:
    """What the docstring of the option's class says of it."""
    *outer, name = option.split(".")
    for part in outer:
        spec = getattr(spec, part)
    text = inspect.getdoc(type(spec)) or ""
    entry = re.search(rf"^    {name}: (.*(?:\n {{8}}.*)*)", text, re.MULTILINE)
    return re.sub(r"\s+", " ", entry.group(1)) if entry else name.replace("_", " ").capitalize()
