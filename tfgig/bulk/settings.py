"""What a bulk job asks of a model, and what it keeps of the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from tfgig.exported import kinds
from tfgig.image.files import FITS, Fit
from tfgig.spec import check, is_whole
from tfgig.targets import TOP_CLASS

Reduce = Literal["none", "channels"]
Dtype = Literal["float32", "float16"]
REDUCTIONS, DTYPES = get_args(Reduce), get_args(Dtype)
KINDS = tuple(name for name, kind in kinds.KINDS.items() if not kind.draws)


@dataclasses.dataclass(frozen=True)
class Settings:
    """One job's choices. Jobs with equal settings, model and input write the same output.

    Args:
        method: The method, such as "ig", or an explaining signature; None if the export has only
            one.
        kind: What to write for each row: "attributions", or "tokens" or "features" if the export
            has such signatures.
        target: The class to explain, or the name of a column of classes; -1 explains each row's top
            class.
        columns: For each model input, its column, or several columns of scalars to join. By default
            an input is the column of its own name; a single input may be the only column.
        id: The id column; None for the file name and row number.
        reduce: "channels" sums the last axis of attributions of rank 3 or more [B, ..., C].
        dtype: The stored type of attributions.
        heatmaps: Whether to keep the PNG files of the method's heat-map signature as well.
        fit: How to fit an image to the model's size, as in `tfgig.image.files.read_image`.
        batch: Rows per batch; 0 for as many as fit in 4 MiB, at most 256.

    Raises:
        ValueError: an invalid value.
    """

    method: str | None = None
    kind: str = kinds.ATTRIBUTIONS
    target: int | str = TOP_CLASS
    columns: Mapping[str, str | tuple[str, ...]] = dataclasses.field(default_factory=dict)
    id: str | None = None
    reduce: Reduce = "none"
    dtype: Dtype = "float32"
    heatmaps: bool = False
    fit: Fit = "crop"
    batch: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("kind", KINDS),
            ("reduce", REDUCTIONS),
            ("dtype", DTYPES),
            ("fit", FITS),
        ):
            check(
                getattr(self, name) in choices,
                f"`{name}` must be one of {choices}.",
                getattr(self, name),
            )
        check(is_whole(self.batch) and self.batch >= 0, "`batch` must be at least 0.", self.batch)
        check(
            isinstance(self.target, str) or is_whole(self.target),
            "`target` must be a class index or a column name.",
            self.target,
        )
        check(
            not (self.heatmaps and self.target != TOP_CLASS),
            "Heat-map signatures explain the top class; leave `target` at -1, or omit the "
            "heat-maps.",
            self.target,
        )

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data."""
        columns = {
            name: found if isinstance(found, str) else list(found)
            for name, found in sorted(self.columns.items())
        }
        return {**dataclasses.asdict(self), "columns": columns}
