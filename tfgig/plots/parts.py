"""The parts of an explanation by what they are of: an image, tokens, a table, a series."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from tfgig.plots.subject import Subject
from tfgig.spec import check

Kind = Literal["image", "tokens", "table", "series"]
KINDS = get_args(Kind)
IMAGE_CHANNELS = (1, 3, 4)
_ANSWERS = ("attributions", "tokens")
_TEXT = "token_text"


@dataclasses.dataclass(frozen=True)
class Part:
    """One panel's worth of an explanation, all rows of it.

    Args:
        kind: What it is of.
        name: The explained input's name, where there are several; else "".
        attributions: Image [B, h, w, c] or of a layer; tokens [B, positions]; table [B, columns];
            series [B, steps, channels].
        data: What was explained: images [B, height, width, c]; texts [B, positions]; values
            [B, columns] or [B, steps, channels]; None if not known, as is a column's value.
        names: The columns or channels.
    """

    kind: Kind
    name: str
    attributions: np.ndarray
    data: np.ndarray | None = None
    names: tuple[str, ...] = ()


def parts_of(
    explanation: Mapping[str, Any],
    subject: Subject,
    kind: Kind | None = None,
    tokens: Sequence[Any] | None = None,
) -> list[Part]:
    """The parts of an explanation; columns of several inputs are one table.

    Args:
        explanation: Tensors or arrays [B, ...], as the layer, a signature or the client returns.
        subject: What is known of what was explained.
        kind: What it is of; None to tell by shapes.
        tokens: The texts of the positions, [positions] or [B, positions].

    Raises:
        ValueError: there are no attributions, or nothing to draw them over.
    """
    check(kind is None or kind in KINDS, f"`kind` must be one of {KINDS}, or None.", kind)
    subject, answers = subject.with_channels_last(dict(_answers(explanation)))
    check(
        bool(answers),
        'An explanation needs "attributions" or "tokens"; heatmap_bytes already are pictures.',
        sorted(explanation),
    )
    texts = _texts(explanation, tokens)
    columns, others = [], []
    for name, values in answers.items():
        found = kind or _kind(values, subject, texts, name)
        if found == "table" and values.ndim == 3 and _one_value(values, subject, name):
            columns.append((name, values.sum(-1)))  # a category, explained at its embedding
        elif found == "table":
            columns.append((name, values.reshape(len(values), -1)))
        else:
            others.append(_part(found, name, values, subject, texts))
    return [*others, *_table(columns, subject)]


def _answers(explanation: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The attributions by the names of what they are of; "" where that is all there is."""
    for name, value in explanation.items():
        for answer in _ANSWERS:
            if name == answer or name.startswith(f"{answer}_"):
                values = np.asarray(value)
                yield name[len(answer) + 1 :], values[:, np.newaxis] if values.ndim == 1 else values


def _kind(values: np.ndarray, subject: Subject, texts: Any, name: str) -> Kind:
    if subject.layout is not None:
        return "image"
    if values.ndim == 4:
        return "image"
    if values.ndim == 3:
        if _one_value(values, subject, name):
            return "table"
        known = _input(subject, name, values.shape) is not None and not subject.inner
        return "series" if known and texts is None else "tokens"
    return "tokens" if texts is not None and len(texts[0]) == values.shape[1] else "table"


def _one_value(values: np.ndarray, subject: Subject, name: str) -> bool:
    """Whether an embedding [B, 1, width] belongs to one value a row of a named input."""
    given = subject.inputs.get(name)
    return values.shape[1] == 1 and given is not None and np.size(given) == len(values)


def _part(kind: Kind, name: str, values: np.ndarray, subject: Subject, texts: Any) -> Part:
    if kind == "image":
        return Part(kind, name, values, _image(subject, name, values))
    if kind == "tokens":
        summed = values.reshape(*values.shape[:2], -1).sum(-1)
        found = _input(subject, name, summed.shape) if texts is None else texts
        if found is None:
            return Part(kind, name, summed)
        written = np.asarray(found, object)
        check(
            written.shape in (summed.shape, (1, summed.shape[1])),
            f"There must be one token for each of the {summed.shape[1]} positions.",
            written.shape,
        )
        return Part(kind, name, summed, np.broadcast_to(written, summed.shape))
    values = values.reshape(*values.shape[:2], -1)
    data = _input(subject, name, values.shape)
    if data is None:
        data = _input(subject, name, values.shape[:2])
    data = None if data is None else np.asarray(data).reshape(values.shape)
    named = tuple(subject.feature_names or ())
    return Part(kind, name, values, data, named or _numbered("channel", values.shape[2]))


def _table(columns: Sequence[tuple[str, np.ndarray]], subject: Subject) -> list[Part]:
    if not columns:
        return []
    attributions = np.concatenate([values for _, values in columns], 1)
    names: list[str] = []
    data: list[np.ndarray] = []
    for name, values in columns:
        by_name = name in subject.inputs
        found = _input(subject, name, values.shape) if by_name or not subject.inner else None
        data.append(np.full(values.shape, None, object))
        if found is not None:
            data[-1][:] = np.asarray(found).reshape(values.shape)
        width = values.shape[1]
        names += [name] if name and width == 1 else _numbered(name or "feature", width)
    if subject.feature_names is not None:
        names = list(map(str, subject.feature_names))
        check(
            len(names) == attributions.shape[1],
            f"`feature_names` needs one name for each of the {attributions.shape[1]} columns.",
            names,
        )
    return [Part("table", "", attributions, np.concatenate(data, 1), tuple(names))]


def _numbered(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word} {index}" for index in range(count))


def _input(subject: Subject, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The input of a name or, where there is only one, of a shape; the values, not texts."""
    size = int(np.prod(shape))
    named = {key: np.asarray(value) for key, value in subject.inputs.items()}
    chosen = [named[name]] if name in named else list(named.values())
    found = [value for value in chosen if value.size == size and len(value) == shape[0]]
    return found[0] if len(found) == 1 else None


def _image(subject: Subject, name: str, values: np.ndarray) -> np.ndarray:
    named = {key: np.asarray(value) for key, value in subject.inputs.items()}
    chosen = [named[name]] if name in named else list(named.values())
    images = [
        value.astype(np.float32)
        for value in chosen
        if value.ndim == 4 and value.shape[-1] in IMAGE_CHANNELS and value.dtype.kind in "fiu"
    ]
    check(
        len(images) == 1 and len(images[0]) == len(values),
        "A map needs its images, [B, height, width, 1, 3 or 4], with the same number of rows; pass "
        "the explained images with inputs=...",
        {key: value.shape for key, value in named.items()},
    )
    return images[0]


def _texts(explanation: Mapping[str, Any], tokens: Sequence[Any] | None) -> list[list[str]] | None:
    given = tokens if tokens is not None else explanation.get(_TEXT)
    if given is None:
        return None
    rows = np.asarray(given, object)
    rows = rows[np.newaxis] if rows.ndim == 1 else rows
    return [[_text(token) for token in row] for row in rows]


def _text(token: Any) -> str:
    return token.decode("utf-8", "replace") if isinstance(token, bytes) else str(token)
