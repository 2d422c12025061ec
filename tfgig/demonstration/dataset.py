"""The scenes as images on which methods are evaluated."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.demonstration import scenes
from tfgig.evaluation.dataset import Dataset, Item
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class Builtin(Dataset):
    """The generated scenes: shapes over photographs, with exact masks.

    Args:
        count: How many scenes.
        seed: Which scenes.
        split: "train" or "test", whose photographs no shipped model has seen.
    """

    kind = "builtin"
    count: int = 400
    seed: int = 17
    split: str = "test"

    def size(self):
        return self.count

    def items(self, shape):
        check(
            tuple(shape) == (scenes.SIZE, scenes.SIZE, 3),
            f"The built-in images are [{scenes.SIZE}, {scenes.SIZE}, 3]; models of other image "
            "sizes need their own dataset.",
            tuple(shape),
        )
        composed = scenes.compose(self.count, seed=self.seed, split=self.split)
        for i, (image, mask, label) in enumerate(zip(*composed, strict=True)):
            yield Item(f"scene{i:04d}", image.astype(np.float32), int(label), mask)
