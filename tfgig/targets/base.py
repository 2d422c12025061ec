"""What a target is, and the forms in which an output can be read."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, Literal, NamedTuple, get_args

import tensorflow as tf

from tfgig.spec import Spec, check, members, nearest

TOP_CLASS = -1  # as a requested target: explain the class with the highest score at the inputs
Form = Literal["as_is", "logits", "probabilities", "log_probabilities"]
FORMS = get_args(Form)


class ModelOutputs(NamedTuple):
    """What a model returns for N points.

    `values` holds its outputs by name, [N, ...] each. For outputs that end in a softmax or sigmoid,
    `logits` contains its input and `log_probabilities` the logarithm of its output, computed from
    the logits, so that it is exact where the output itself rounds to 0.
    """

    values: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]
    log_probabilities: dict[str, tf.Tensor] = {}  # noqa: RUF012 -- never written to


class Resolved(NamedTuple):
    """A target fixed at the inputs: `target` int64 [B] and `valid` bool [B], per row."""

    target: tf.Tensor
    valid: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Target(Spec, abc.ABC):
    """A family of scores.

    Args:
        output_name: The output, for models with several; None if there is only one.
    """

    family = "target"
    of_classes: ClassVar[bool] = False  # whether the number that is requested is a class's
    output_name: str | None = dataclasses.field(default=None, kw_only=True)

    @abc.abstractmethod
    def resolve(self, outputs: ModelOutputs, requested: tf.Tensor) -> Resolved:
        """Fixes `requested` (int64 [B]) once, at the inputs; never raises for a row."""

    @abc.abstractmethod
    def select(self, outputs: ModelOutputs, target: tf.Tensor) -> tf.Tensor:
        """The score [N] of `target` (int64 [N]) in the outputs of N points."""

    def classes(self, outputs: ModelOutputs) -> int | None:
        """The number of possible targets, if known."""
        return None

    def _value(self, outputs: ModelOutputs, form: Form = "as_is") -> tf.Tensor:
        """The one output that is explained, [N, ...], in the form that is asked for.

        The last axis holds the classes. A model that ends in neither softmax nor sigmoid is taken
        to end in logits: of a softmax over its classes, or of a sigmoid where there is one.
        """
        name = self.name_of(outputs)
        value, logits = outputs.values[name], outputs.logits.get(name)
        if form == "logits":
            if logits is None:
                raise ValueError(
                    f'{type(self).__name__}(output="logits") needs a model whose output ends in a '
                    'softmax or sigmoid; use output="as_is". '
                    f"Received: a model whose output {name!r} does not."
                )
            return logits
        if form == "as_is" or (form == "probabilities" and logits is not None):
            return value
        if form == "log_probabilities" and name in outputs.log_probabilities:
            return outputs.log_probabilities[name]
        value = tf.cast(value, tf.float32)
        if value.shape.rank == 1 or value.shape[-1] == 1:
            return tf.sigmoid(value) if form == "probabilities" else tf.math.log_sigmoid(value)
        return tf.nn.softmax(value) if form == "probabilities" else tf.nn.log_softmax(value)

    def name_of(self, outputs: ModelOutputs) -> str:
        """The name of the explained output; by default the only float output.

        Raises:
            ValueError: the output does not exist, or there are several to choose from.
        """
        # Classes' names, as strings, and numbers of classes beside the scores are no choice.
        names = [name for name, value in outputs.values.items() if value.dtype.is_floating]
        if self.output_name is None:
            check(
                len(names) == 1,
                f"The model has {len(names)} outputs; choose one with "
                f"{type(self).__name__}(output_name=...) (--target.output_name=...).",
                names,
            )
            return names[0]
        if self.output_name in outputs.values and self.output_name not in names:
            raise ValueError(
                f"The output {self.output_name!r} is {outputs.values[self.output_name].dtype.name} "
                "and has no gradient; the model's float outputs are "
                f"{', '.join(names) or 'none of its outputs'}. Received: "
                f"output_name={self.output_name!r}."
            )
        if self.output_name not in outputs.values:
            raise ValueError(
                f"The model has no output of this name. {nearest(self.output_name, names)} "
                f"Received: output_name={self.output_name!r}."
            )
        return self.output_name


def has_unit(values: tf.Tensor, unit: int) -> tf.Tensor:
    """Whether outputs [N, units] have a unit, bool []; the units may be an open axis."""
    return unit < tf.shape(values)[1]


def unit_of(values: tf.Tensor, unit: int) -> tf.Tensor:
    """One unit [N] of outputs [N, units]; zeros where an open axis turns out to lack it."""
    if values.shape[1] is not None:
        return values[:, unit]
    within = tf.gather(values, tf.minimum(unit, tf.shape(values)[1] - 1), axis=1)
    return tf.where(has_unit(values, unit), within, tf.zeros_like(within))


def counts_classes(kind: str) -> bool:
    """Whether targets of a kind, such as "target.margin", are class indices."""
    known = {f"{member.family}.{member.kind}": member for member in members(Target)}
    return getattr(known.get(kind), "of_classes", False)


def check_form(form: str, target: Target) -> None:
    """Raises `ValueError` unless `form` is one in which an output can be read."""
    words = ", ".join(f'"{known}"' for known in FORMS)
    check(form in FORMS, f"{type(target).__name__}(output=...) must be one of {words}.", form)
