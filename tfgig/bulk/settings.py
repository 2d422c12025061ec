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
        method: The method, such as "ig", or a signature that explains; None where the export has
            only one.
        kind: What is kept of a row: "attributions", or "tokens" or "features" of an export that has
            such signatures.
        target: The class to explain, or the name of the column that holds it; -1 explains each
            row's top class.
        columns: By the model's inputs, the column that holds each, or the columns [scalars] that
            are laid side by side. An input that is not named is the column of its own name; the
            only input may be the only column.
        id: The column with the rows' ids; None for the file's name and the row's number in it.
        reduce: "channels" adds up the last axis of attributions of rank 3 or more [B, ..., C].
        dtype: The type in which attributions are stored.
        heatmaps: Whether to keep the PNG files of the method's heat-map signature as well.
        fit: How an image is fitted to the model's size, as `tfgig.image.files.read_image`.
        batch: How many rows are explained at once; 0 for as many as hold 4 MiB, at most 256.

    Raises:
        ValueError: a value is none of its choices.
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
