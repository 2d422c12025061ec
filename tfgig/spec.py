"""Specs: one frozen record that is configuration, JSON and command-line flags at once.

Every choice a user can make (a path, a rule, a target, a whole method) is a `Spec`: a frozen
dataclass with a `kind`. Its fields are the Keras config, the JSON that ships beside an exported
model, and the flags of the command-line tools. A spec is varied with `dataclasses.replace`.

A new member of a family subclasses it, names its `kind`, and is known everywhere:

    @dataclasses.dataclass(frozen=True)
    class Straight(FixedPath):
        kind = "straight"
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import numbers
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from tfgig.arrays import Array

Named = str | tuple[str, ...] | None  # one layer or input, several together, or none named

_KINDS: dict[str, type[Spec]] = {}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A frozen, named record of choices. Subclass a family (`Path`, `Rule`, ...), not this."""

    family: ClassVar[str] = ""
    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "__post_init__" in cls.__dict__:
            cls.__post_init__ = _of_plain_numbers(cls.__post_init__)  # type: ignore[assignment]
        if not cls.__dict__.get("kind"):
            return  # a family, or an abstract part of one
        name = f"{cls.family}.{cls.kind}"
        known = _KINDS.get(name)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise TypeError(
                f"Two specs have the same name; choose another `kind`. Received: {name!r} for "
                f"{cls.__qualname__}, which {known.__module__}.{known.__qualname__} has."
            )
        _KINDS[name] = cls

    def __post_init__(self) -> None:
        """NumPy's numbers, such as `argmax` returns, become Python's: JSON knows no others."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())


def check(condition: bool, message: str, received: Any) -> None:
    """Raises `ValueError("<message> Received: <received>.")` unless `condition` holds."""
    if not condition:
        raise ValueError(f"{message} Received: {received!r}.")


def as_named(value: Any, option: str) -> Named:
    """A name, several as a tuple, or None.

    Args:
        value: What the user gave.
        option: What it is called, in the error.

    Raises:
        ValueError: it is something else, or a name twice.
    """
    if value is None or (isinstance(value, str) and value):
        return value
    names = tuple(value) if isinstance(value, (list, tuple)) else ()
    check(
        bool(names) and all(isinstance(name, str) and name for name in names),
        f"{option} must be the name of a layer or an input, or several of them.",
        value,
    )
    check(len(set(names)) == len(names), f"{option} has a duplicate.", value)
    return names if len(names) > 1 else names[0]


def as_tuple(names: Named) -> tuple[str, ...]:
    """The names one by one."""
    return () if names is None else (names,) if isinstance(names, str) else names


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number, Python's or NumPy's, and not True or False."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_is(value: Any, family: type[Spec], field: str) -> None:
    """Raises `TypeError` unless `value` is a spec of `family`; the error names the choices."""
    if not isinstance(value, family):
        choices = ", ".join(kind.__name__ + "(...)" for kind in members(family))
        raise TypeError(f"`{field}` must be one of {choices}. Received: {value!r}.")


def members(family: type[Spec]) -> list[type[Spec]]:
    """The concrete specs of a family, in the order in which they were defined."""
    return [kind for kind in _KINDS.values() if issubclass(kind, family)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: "Did you mean ...?" and the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."


def to_config(value: Any) -> Any:
    """Plain JSON data for a spec (and, recursively, for what it holds).

    A spec becomes `{"kind": "<family>.<kind>", **fields}`, a tuple a list, an `Array` its shape
    and its bytes in base64. A function becomes
    `{"function": "<its registered name>"}`: only functions registered with
    `keras.saving.register_keras_serializable` can be read back.
    """
    if isinstance(value, Spec):
        fields = {f.name: to_config(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": f"{value.family}.{value.kind}", **fields}
    if isinstance(value, (tuple, list)):
        return [to_config(item) for item in value]
    if isinstance(value, Array):
        return {"array": value.to_config()}
    if callable(value):
        from keras import saving

        return {"function": saving.get_registered_name(value)}
    return value


def from_config(config: Any) -> Any:
    """The inverse of `to_config`.

    Raises:
        ValueError: for an unknown kind or an unregistered function; nothing is imported or run.
    """
    if isinstance(config, list):
        return tuple(from_config(item) for item in config)
    if not isinstance(config, dict):
        return config
    if set(config) == {"array"}:
        return Array.from_config(config["array"])
    if set(config) == {"function"}:
        return _registered_function(config["function"])
    fields = {name: from_config(value) for name, value in config.items() if name != "kind"}
    return _class_of(config.get("kind", ""))(**fields)


def leaves(spec: Spec, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields `(dotted name, value, declared type)` of every option of a spec, outermost first.

    `guided_ig` yields, among others, `("path.fraction", 0.25, float)`.
    """
    types = typing.get_type_hints(type(spec))
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        yield prefix + field.name, value, types[field.name]
        if isinstance(value, Spec):
            yield from leaves(value, f"{prefix}{field.name}.")


def replace_all(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    """A copy of `spec` with the options at dotted names replaced, all together.

    Each spec is made once, with all its changes, so that options which are only good together
    can be given together; an inner option applies to the inner spec that is given with it.
    """
    known = [field.name for field in dataclasses.fields(spec)]
    new = {name: value for name, value in changes.items() if "." not in name}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, dot, rest = name.partition(".")
        if head not in known:
            raise ValueError(
                f"{type(spec).__name__} has no option {head!r}. {nearest(head, known)}"
            )
        if dot:
            inner.setdefault(head, {})[rest] = value
    for head, inside in inner.items():
        part = new.get(head, getattr(spec, head))
        check(isinstance(part, Spec), f"The option {head!r} has no options of its own.", inside)
        new[head] = replace_all(part, inside)
    return dataclasses.replace(spec, **new)


def _of_plain_numbers(check_fields: Callable[[Any], None]) -> Callable[[Any], None]:
    """A `__post_init__` that finds plain numbers, whether or not it calls that of its parents."""

    @functools.wraps(check_fields)
    def __post_init__(self: Spec) -> None:
        Spec.__post_init__(self)
        check_fields(self)

    return __post_init__


def _class_of(name: str) -> type[Spec]:
    if name not in _KINDS:
        raise ValueError(f"Unknown kind {name!r}. {nearest(name, _KINDS)}")
    return _KINDS[name]


def _registered_function(name: str) -> Callable[..., Any]:
    from keras import saving

    function = saving.get_registered_object(name)
    if function is None:
        raise ValueError(
            "A saved function is loaded by its registered name. Decorate it with "
            "@keras.saving.register_keras_serializable() and import it before loading. Received: "
            f"{name!r}."
        )
    return function
