"""Variants of methods: other steps, anchors and baselines, for studies of what these do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfgig.baselines import Baseline, Constant, Several, Uniform
from tfgig.metrics.subject import EvaluatedMethod
from tfgig.spec import leaves, nearest, replace_all


def named_baselines(value_range: tuple[float, float]) -> dict[str, Baseline]:
    """The baselines that the Guided IG paper compares, by name, in a model's own units."""
    low, high = value_range
    return {
        "black": Constant(low),
        "black_white": Several((Constant(low), Constant(high))),
        "random_2": Uniform((low, high), samples=2),
    }


def variants(
    methods: Mapping[str, EvaluatedMethod],
    steps: Sequence[int] = (),
    anchors: Sequence[int] = (),
    baselines: Mapping[str, Baseline] | None = None,
) -> dict[str, EvaluatedMethod]:
    """Every method with each of the options that it has, named `method[option=value,...]`.

    A method without such an option (a gradient has no steps) stays as it is, once.
    """
    made: dict[str, EvaluatedMethod] = {}
    for name, method in methods.items():
        found: dict[tuple[str, ...], EvaluatedMethod] = {(): method}
        for option, values in (
            ("anchors", {str(n): n for n in anchors}),
            ("baseline", dict(baselines or {})),
            ("steps", {str(n): n for n in steps}),
        ):
            found = _varied(found, option, values)
        for options, variant in found.items():
            made[f"{name}[{','.join(options)}]" if options else name] = variant
    return made


def with_option(method: EvaluatedMethod, option: str, value: object) -> EvaluatedMethod:
    """A method with every `anchors`, `baseline` or `steps` in it replaced, where it has any."""
    names = [name for name, _, _ in leaves(method) if name.split(".")[-1] == option]
    return replace_all(method, dict.fromkeys(names, value))  # type: ignore[return-value]


def has_option(method: EvaluatedMethod, option: str) -> bool:
    """Whether a method, or something in it, has that option."""
    return any(name.split(".")[-1] == option for name, _, _ in leaves(method))


def baseline_of(name: str, value_range: tuple[float, float]) -> Baseline:
    """The baseline of that name.

    Raises:
        ValueError: the name is unknown; the error suggests the nearest.
    """
    known = named_baselines(value_range)
    if name not in known:
        raise ValueError(f"Unknown baseline {name!r}. {nearest(name, known)}")
    return known[name]


def _varied(methods, option, values):
    varied = {}
    for options, method in methods.items():
        if not values or not has_option(method, option):
            varied[options] = method
            continue
        for label, value in values.items():
            varied[(*options, f"{option}={label}")] = with_option(method, option, value)
    return varied
