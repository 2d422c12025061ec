"""Rows in, answers out: the exported signature in a session, batch by batch."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfgig.bulk.request import HEATMAP, NUMBERS, TOKEN_TEXT, Request
from tfgig.bulk.settings import Settings
from tfgig.bulk.sources.base import Rejected, Rows, Values
from tfgig.bulk.values import Convert, fitted, picture_encoder, picture_reader, side_by_side
from tfgig.exported.signatures import TARGET
from tfgig.serving.runtime.session import SessionModel
from tfgig.targets import TOP_CLASS

_NO_ANSWER = "the input, the score or a gradient is not finite, or the target does not exist"


class Answerer:
    """A version in a session, ready for rows.

    Args:
        model: The version's directory.
        settings: The job's choices.
        threads: How many threads TensorFlow takes, for all models of the process; 0 for one a
            processor.

    Attributes:
        request: What is asked of the version.
    """

    def __init__(self, model: str, settings: Settings, threads: int = 0) -> None:
        self.request = Request(model, settings)
        self._model = SessionModel(self.request.directory, threads, threads)
        self._converts = {name: self._convert(spec) for name, spec in self.request.inputs.items()}

    def answer(
        self, rows: Rows, columns: Mapping[str, tuple[str, ...]], files: bool = False
    ) -> tuple[pa.RecordBatch, list[Rejected]]:
        """What there is to write of some rows, and of which files there are none.

        Args:
            rows: At most as many as are to be explained at once.
            columns: By input, the columns that hold it.
            files: Whether each row is a file: one that cannot be read is no row then.

        Raises:
            tf.errors.OpError: the signature fails whatever the row, such as for memory.
        """
        reasons = dict(rows.reasons)
        inputs = {}
        for name, spec in self.request.inputs.items():
            values = [rows.values[column] for column in columns[name]]
            joined = values[0] if len(values) == 1 else side_by_side(values)
            inputs[name], found = fitted(joined, spec, self._converts[name])
            reasons = {**found, **reasons}
        not_read = [Rejected(rows.ids[i], reason) for i, reason in reasons.items() if files]
        dropped = set(reasons) if files else set()
        targets, found = self._targets(rows)
        reasons = {**found, **reasons}
        good = [i for i in range(len(rows.ids)) if i not in reasons]
        kept: dict[str, list[Any]] = {
            name: [None] * len(rows.ids) for name in self.request.schema.names
        }
        for group in _of_one_size(good, inputs):
            given = {name: _taken(values, group) for name, values in inputs.items()}
            for places, outputs in self._called(group, given, targets, reasons):
                self._keep(places, outputs, kept, reasons)
        ids = (
            rows.ids if self.request.settings.id is None else rows.values[self.request.settings.id]
        )
        kept["id"] = [None if value is None else _text(value) for value in ids]
        kept["ok"] = [i not in reasons for i in range(len(rows.ids))]
        kept["reason"] = [reasons.get(i) for i in range(len(rows.ids))]
        batch = pa.RecordBatch.from_arrays(
            [_column(kept[field.name], field.type) for field in self.request.schema],
            schema=self.request.schema,
        )
        if dropped:
            batch = batch.take([i for i in range(len(rows.ids)) if i not in dropped])
        return batch, not_read

    def close(self) -> None:
        """Frees the session."""
        self._model.close()

    def _convert(self, spec: tf.TensorSpec) -> Convert | None:
        """What reads an input that is an image file."""
        request, picture = self.request, self.request.description.picture
        if picture is None:
            return None
        if spec.dtype == tf.string:
            return picture_encoder if len(request.inputs) == 1 else None
        if picture.name != spec.name:
            return None
        return picture_reader(spec, request.description, request.settings.fit)

    def _targets(self, rows: Rows) -> tuple[np.ndarray, dict[int, str]]:
        wanted = self.request.settings.target
        if not isinstance(wanted, str):
            return np.full(len(rows.ids), wanted, np.int64), {}
        spec = tf.TensorSpec([None], tf.int64, name=wanted)
        found, reasons = fitted(rows.values[wanted], spec)
        return np.array([TOP_CLASS if t is None else t for t in found], np.int64), reasons

    def _called(
        self,
        group: list[int],
        inputs: Mapping[str, np.ndarray],
        targets: np.ndarray,
        reasons: dict[int, str],
    ) -> Iterator[tuple[list[int], Mapping[str, np.ndarray]]]:
        """The answers for rows of one size; where one of them fails them all, row by row."""
        try:
            yield group, self._run(inputs, targets[group])
            return
        except tf.errors.InvalidArgumentError as error:
            if len(group) == 1:
                reasons[group[0]] = f"the model rejects it: {error.message.splitlines()[0]}"
                return
        for i, place in enumerate(group):
            alone = {name: values[i : i + 1] for name, values in inputs.items()}
            yield from self._called([place], alone, targets, reasons)

    def _run(self, inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, np.ndarray]:
        request = self.request
        target = {} if request.target is None else {request.target: targets}
        outputs = self._model.run(request.signature, **inputs, **target)
        if request.heatmap is not None:
            outputs[HEATMAP] = self._model.call(request.heatmap, inputs, [HEATMAP])[HEATMAP]
        return outputs

    def _keep(
        self,
        places: list[int],
        outputs: Mapping[str, np.ndarray],
        kept: dict[str, list[Any]],
        reasons: dict[int, str],
    ) -> None:
        arrays = {name: self._stored(name, outputs[name]) for name in self.request.answers}
        finite = np.logical_and.reduce(
            [np.isfinite(a).all(tuple(range(1, a.ndim))) for a in arrays.values()]
        )
        for i, place in enumerate(places):
            if not outputs["ok"][i]:
                reasons[place] = f"no explanation: {_NO_ANSWER}"
                continue
            if not finite[i]:
                reasons[place] = (
                    'an attribution is outside the range of float16; use dtype="float32"'
                )
                continue
            kept["target"][place] = outputs[TARGET][i]
            for name in NUMBERS:
                if name in outputs:
                    kept[name][place] = outputs[name][i]
            for name, array in arrays.items():
                kept[name][place] = array[i].reshape(-1)
                kept[f"{name}_shape"][place] = array.shape[1:]
            if self.request.has_text:
                kept[TOKEN_TEXT][place] = [_text(t) for t in outputs[TOKEN_TEXT][i]]
            if self.request.heatmap is not None:
                kept[HEATMAP][place] = outputs[HEATMAP][i]

    def _stored(self, name: str, array: np.ndarray) -> np.ndarray:
        if self.request.reduced(name):
            array = array.sum(-1)
        with np.errstate(over="ignore"):
            return array.astype(self.request.settings.dtype, copy=False)


@functools.lru_cache(maxsize=1)
def answerer(model: str, settings: str, threads: int) -> Answerer:
    """This process's answerer, loaded once.

    Args:
        model: The version's directory.
        settings: Those of `Settings.to_config`, as JSON.
        threads: As in `Answerer`.
    """
    return Answerer(model, Settings(**json.loads(settings)), threads)


def _of_one_size(good: list[int], inputs: Mapping[str, Values]) -> Iterator[list[int]]:
    """The rows in groups that can be stacked, the first rows' first."""
    if all(isinstance(values, np.ndarray) for values in inputs.values()):
        if good:
            yield good
        return
    groups: dict[tuple, list[int]] = {}
    for i in good:
        sizes = tuple(np.shape(values[i]) for values in inputs.values())
        groups.setdefault(sizes, []).append(i)
    yield from groups.values()


def _taken(values: Values, group: list[int]) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values if len(group) == len(values) else values[group]
    return np.stack([values[i] for i in group])


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """A column of Arrow; lists of numbers without a Python number for each."""
    if not (pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)):
        return pa.array(values, kind)
    ends = itertools.accumulate((0 if v is None else len(v) for v in values), initial=0)
    offsets = np.fromiter(ends, np.int32, len(values) + 1)
    empty = np.array([value is None for value in values] + [False])
    held = [value for value in values if value is not None]
    flat = np.concatenate(held) if held else np.zeros(0, kind.value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32(), mask=empty), pa.array(flat, kind.value_type)
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
