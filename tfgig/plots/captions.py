"""The words of a picture: class, score, and how far the numbers can be trusted."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfgig.plots.subject import Subject

_FIXED = "\N{NO-BREAK SPACE}"


def caption(
    explanation: Mapping[str, Any], subject: Subject, row: int, name: str = ""
) -> list[str]:
    """The lines above a panel: the class with its score, the baseline's, delta and error.

    What the explanation does not have is left out; what it has for the part of this name, such as
    `delta_<name>`, goes first.
    """
    given = ("target", "score", "baseline_score", "delta", "error", "ok")
    own = {key: f"{key}_{name}" if f"{key}_{name}" in explanation else key for key in given}
    found = {
        key: np.asarray(explanation[value])[row]
        for key, value in own.items()
        if value in explanation
    }
    if own["delta"] != "delta" and own["error"] == "error":
        found.pop("error", None)  # that of all parts together
    if not found.get("ok", True):
        return ["this row could not be explained"]
    lines = []
    if "score" in found:
        lines.append(f"{name_of(subject, found.get('target'))}: score {number(found['score'])}")
        if "baseline_score" in found:
            lines[-1] += f" (baseline {number(found['baseline_score'])})"
    quality = []
    if "delta" in found:
        quality.append(f"delta {number(found['delta'], sign=True)}")
    if "error" in found:
        quality.append(f"error {number(100 * found['error'])} %")
    return [*lines, ", ".join(quality)] if quality else lines


def broken(lines: Sequence[str], width: int) -> list[str]:
    """Lines of at most so many letters, where they can be broken: at commas and brackets."""
    kept = [re.sub(r"(?<!,) (?!\()", _FIXED, line) for line in lines]
    wrapped = [
        part
        for line in kept
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    ]
    return [line.replace(_FIXED, " ") for line in wrapped]


def name_of(subject: Subject, target: Any) -> str:
    """What the explained score is called."""
    if subject.target is not None:
        return subject.target
    if target is None:
        return "the score"
    names, index = subject.class_names, int(target)
    if names is not None and 0 <= index < len(names):
        return shortened(str(names[index]), 28)
    return f"class {index}"


def number(value: Any, sign: bool = False) -> str:
    """Three significant digits, with a minus sign that is one."""
    text = f"{float(value):{'+' if sign else ''}.3g}"
    text = re.sub(r"e([+-])0*(\d)", r"e\1\2", text)
    return text.replace("-", "\N{MINUS SIGN}")


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
