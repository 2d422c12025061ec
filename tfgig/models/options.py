"""How a model is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tfgig.image.axes import DataFormat
from tfgig.models.graphs.constants import Constants
from tfgig.models.graphs.examples import Given
from tfgig.models.graphs.shapes import Shape
from tfgig.spec import Named

Names = str | Sequence[str] | Mapping[str, str]  # of inputs, in their order or by the old ones


@dataclasses.dataclass(frozen=True)
class LoadOptions:
    """What a user says of a model, in Python or by flags; the arguments of `load_model`."""

    value_range: tuple[float, float] | None = None
    signature: str | None = None
    shape: Shape | None = None
    layer: Named = None
    allow_unsafe_deserialization: bool = False
    example: Given | None = None
    constants: Constants | None = None
    input_names: Names | None = None
    data_format: DataFormat | None = None
