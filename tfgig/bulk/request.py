"""What a job asks of a version: its signatures, its inputs' columns, and the answer's schema."""

from __future__ import annotations

import hashlib
import math
import os
import pathlib
from collections.abc import Sequence

import pyarrow as pa
import tensorflow as tf

from tfgig.bulk.settings import Settings
from tfgig.bulk.values import NO_RANGE
from tfgig.exported import kinds
from tfgig.exported.description import read_description
from tfgig.exported.directory import latest, signatures_in
from tfgig.exported.fit import spec_of
from tfgig.exported.signatures import has_rows, model_inputs, target_of
from tfgig.serving.protocol.errors import InvalidRequest
from tfgig.serving.protocol.explanation import choose
from tfgig.spec import check, nearest

NUMBERS = ("score", "baseline_score", "delta", "error")
TOKEN_TEXT = "token_text"
HEATMAP = "heatmap_bytes"
_BATCH_BYTES, _MOST_ROWS = 4 << 20, 256
_OPEN_SIDE, _OPEN_AXIS = 256, 64  # what an open axis of a picture, or another, is taken for


class Request:
    """A job's settings as a version can answer them.

    Args:
        model: A model's directory, of which the newest version is taken, or a version's.
        settings: The job's choices.

    Attributes:
        directory: The version's directory.
        settings: The settings.
        signature: The signature that is called.
        heatmap: The signature that draws; None if none is asked for.
        inputs: What the model takes of each row, by name.
        target: The signature's input for the class to explain; None if it has none.
        answers: The outputs that hold attributions.
        batch: How many rows are explained at once.
        schema: What is written of a row.
        description: What the version says of itself.

    Raises:
        FileNotFoundError: there is no version.
        ValueError: the version does not have such a signature, or has no such input.
    """

    def __init__(self, model: str | os.PathLike, settings: Settings) -> None:
        self.directory = latest(model)
        self.settings = settings
        self.description = read_description(self.directory)
        signatures = signatures_in(self.directory)
        try:
            self.signature = choose(signatures, settings.method, settings.kind)
            method = self.signature.removeprefix(kinds.get(settings.kind).prefix)
            self.heatmap = choose(signatures, method, "heatmap") if settings.heatmaps else None
        except InvalidRequest as error:
            raise ValueError(str(error)) from error
        definition = signatures[self.signature]
        self._outputs = {name: spec_of(name, info) for name, info in definition.outputs.items()}
        self.inputs = {
            name: spec_of(name, definition.inputs[name])
            for name in model_inputs(definition)
            if has_rows(definition.inputs[name]) or name not in definition.defaults
        }
        self.target = target_of(definition)
        self.answers = kinds.get(settings.kind).answers(self._outputs)
        self.has_text = TOKEN_TEXT in self._outputs
        for name in settings.columns:
            check(
                name in self.inputs,
                f"The model has no input {name!r}. {nearest(name, self.inputs)}",
                self.signature,
            )
        self.batch = settings.batch or self._rows_at_once()
        self.schema = self._schema()

    def columns(self, known: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
        """By input, the columns that hold it.

        Args:
            known: The columns of the table; None if rows have names of their own.

        Raises:
            ValueError: there is no such column.
        """
        found = {}
        for name in self.inputs:
            given = self.settings.columns.get(name)
            if given is None:
                alone = known is not None and len(known) == len(self.inputs) == 1
                given = known[0] if alone and known else name
            found[name] = (given,) if isinstance(given, str) else tuple(given)
        for name, columns in found.items():
            for column in columns:
                if known is not None and column not in known:
                    raise ValueError(
                        f"There is no column {column!r} for the input {name!r}. "
                        f"{nearest(column, known)} To use another column: columns={{{name!r}: "
                        f"...}}, --columns='{{\"{name}\": ...}}'."
                    )
        for option in ("id", "target"):
            column = getattr(self.settings, option)
            if known is not None and isinstance(column, str) and column not in known:
                raise ValueError(f"There is no column {column!r} (`{option}`). "
                                 f"{nearest(column, known)}")  # fmt: skip
        return found

    def needed(self, known: Sequence[str] | None) -> list[str]:
        """The columns that a job reads, each once."""
        inputs = [column for columns in self.columns(known).values() for column in columns]
        more = [c for c in (self.settings.id, self.settings.target) if isinstance(c, str)]
        return list(dict.fromkeys([*inputs, *more]))

    def check_files(self) -> None:
        """Raises `ValueError` where image files are nothing for this version, whichever they are.

        Rows of a table are looked at one by one: they may hold numbers or files.
        """
        picture = self.description.picture
        spec = None if picture is None else self.inputs.get(picture.name)
        if spec is None:
            raise ValueError(
                "The model has no image input, so it cannot explain image files; give it a table. "
                f"Received: {sorted(self.inputs)!r}."
            )
        known = spec.dtype == tf.string or self.description.value_range is not None
        check(known, NO_RANGE, str(self.directory))

    def fingerprint(self) -> str:
        """A digest of the version's graph and weights, wherever it lies."""
        digest = hashlib.sha256()
        for file in ("saved_model.pb", "variables/variables.index"):  # which has checksums of all
            path = pathlib.Path(self.directory) / file
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()[:16]

    def names(self) -> dict[str, list[str]]:
        """By answer, the names of its columns, where they are known."""
        endpoint = self.description.endpoints.get(self.signature)
        found = {name: list(endpoint.columns) for name in self.answers} if endpoint else {}
        for name, columns in self.settings.columns.items():
            if not isinstance(columns, str):
                alone = self.answers if len(self.inputs) == 1 else [f"attributions_{name}"]
                found.update({a: list(columns) for a in alone if not found.get(a)})
        return {name: columns for name, columns in found.items() if columns}

    def reduced(self, answer: str) -> bool:
        """Whether an answer's last axis is added up."""
        rank = self._outputs[answer].shape.rank
        return self.settings.reduce == "channels" and (rank is None or rank > 2)

    def _rows_at_once(self) -> int:
        given = sum(
            (1 if spec.dtype == tf.string else spec.dtype.size) * _values(spec.shape)
            for spec in self.inputs.values()
        )
        # Of an encoded picture, only the answer tells the size.
        answered = (4 * _values(self._outputs[name].shape) for name in self.answers)
        size = max(given, *answered)
        return max(1, min(_MOST_ROWS, _BATCH_BYTES // max(size, 1)))

    def _schema(self) -> pa.Schema:
        number = pa.float16() if self.settings.dtype == "float16" else pa.float32()
        fields = [pa.field("id", pa.string()), pa.field("target", pa.int64())]
        fields += [pa.field(name, pa.float32()) for name in NUMBERS]
        fields += [pa.field("ok", pa.bool_()), pa.field("reason", pa.string())]
        for name in self.answers:
            fields.append(pa.field(name, pa.list_(number)))
            fields.append(pa.field(f"{name}_shape", pa.list_(pa.int32())))
        if self.has_text:
            fields.append(pa.field(TOKEN_TEXT, pa.list_(pa.string())))
        if self.heatmap:
            fields.append(pa.field(HEATMAP, pa.binary()))
        return pa.schema(fields)


def _values(shape: tf.TensorShape) -> int:
    """How many values a row of a tensor has, about."""
    axes = shape.as_list()[1:] if shape.rank else []
    taken = _OPEN_SIDE if len(axes) == 3 else _OPEN_AXIS
    return math.prod(taken if axis is None else axis for axis in axes)
