"""What a kind of endpoint is: its signatures' names, inputs and outputs, and how they are built."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable
from typing import ClassVar

import tensorflow as tf

from tfgig.methods.explain import Explanation
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Place
from tfgig.models.source import SourceModel
from tfgig.spec import Spec

Answer = Callable[..., dict[str, "tf.Tensor"]]  # (target int64 [B], *inputs [B, ...]) to outputs


@dataclasses.dataclass(frozen=True)
class Material:
    """What a signature is built from.

    Args:
        source: The model.
        cut: The explained tensors.
        explain: `(target int64 [B], *inputs [B, ...])`, the inputs in the order of the source's, to
            an explanation, as `tfgig.explaining` builds it.
        draw: Pictures' files, string [B], of images [B, height, width, channels] in the model's
            units and attributions, of pixels or of the layer that is explained.
    """

    source: SourceModel
    cut: Cut
    explain: Callable[..., Explanation]
    draw: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class EndpointKind(Spec):
    """The kind of a signature's answer.

    Attributes:
        prefix: The prefix that makes a method's name the signature's name.
        answer: The output that identifies the kind; with several explained tensors it may be
            `<answer>_<name>` for each.
        outputs: The other outputs.
        takes_target: Whether it has an input `target`; else the top class is explained.
        draws: Whether it draws pictures, in the style `Endpoint(overlay=...)`.
    """

    family = "endpoint"
    prefix: ClassVar[str]
    answer: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = (
        "target",
        "score",
        "baseline_score",
        "delta",
        "error",
        "ok",
    )
    takes_target: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    @abc.abstractmethod
    def applies(self, source: SourceModel, place: Place | None) -> bool:
        """Whether a method exported by name gets an endpoint of this kind.

        Args:
            source: The model.
            place: Where the method explains it; None for the model's inputs.
        """

    def obstacle(self, source: SourceModel, cut: Cut) -> str | None:
        """Why this cut cannot have such an endpoint, with a fix; None if it can."""
        return None

    def columns(self, cut: Cut) -> tuple[str, ...]:
        """The names of the columns of the answer [B, columns]; none if it has none."""
        return ()

    @abc.abstractmethod
    def build(self, material: Material) -> Answer:
        """The signature's function; rows are independent."""

    def answers(self, outputs: Iterable[str]) -> list[str]:
        """The outputs that are this kind's answer; none if the signature has another kind."""
        return [o for o in outputs if o == self.answer or o.startswith(f"{self.answer}_")]

    def missing(self, outputs: Iterable[str]) -> list[str]:
        """Which outputs a signature of this kind lacks."""
        found = set(outputs)
        answer = [] if self.answers(found) else [self.answer]
        return [*answer, *(name for name in self.outputs if name not in found)]
