"""Places: the tensors of a model at which it can be explained, found in its graph.

A place is a cut: every way that a gradient can take from what is explained to the score leads
through it, so what it holds determines the score. Its first axis is the batch.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

import tensorflow as tf

from tfgig.image.axes import looks_channels_first
from tfgig.image.layout import Layout
from tfgig.models.graphs.costs import PRODUCTS, ROWS, cost_of, joins_positions
from tfgig.models.graphs.formats import sight_of
from tfgig.models.graphs.receptive import Centres, centres_of
from tfgig.models.graphs.refusal import check
from tfgig.models.graphs.ways import Ways

FEWEST_POSITIONS = 12  # a side, of a place that is found
_MOST_SKIPPED = 8  # tokens in front of those of a picture: the class's, registers
Ends = Literal["block", "layer", "nothing"]
_MOST_NAMED = 24  # in an error
_PADS = ("Pad", "PadV2", "MirrorPad")
_PASSING_ON = ("Identity", "Cast", *_PADS, "Reshape", "ExpandDims", "Squeeze")


class Place(NamedTuple):
    """A tensor at which a model can be explained.

    Args:
        name: What `layer=` and `At(place=...)` call it.
        shape: Of one example; None where an axis is open.
        layout: How it lies over the picture; None if it does not.
        behind: The share of the model's cost that lies behind it: what a step of a path costs.
        joined: Whether positions still meet behind it otherwise than by being pooled or
            flattened: by a convolution, attention, a recurrence.
        ends: What it ends: a "block", whose ways have just met; a "layer", before the next one
            with weights; or "nothing".
    """

    name: str
    shape: tuple[int | None, ...]
    layout: Layout | None
    behind: float
    joined: bool
    ends: Ends

    @property
    def positions(self) -> int:
        """How many there are on its shorter side; 0 if it has none."""
        sizes = self.shape[:-1] if self.layout is None else self.layout.grid
        return min((size or 0 for size in sizes), default=0)


def choose(places: Sequence[Place], fewest: int = FEWEST_POSITIONS) -> Place:
    """The place at which a model is explained where the user names none.

    The last one with `fewest` positions a side behind which positions still meet; of those of its
    size the last that ends a block, if one does. Where none has so many, as many as there are do.

    Raises:
        ValueError: no place has positions.
    """
    laid_out = [place for place in places if place.positions > 1]
    check(
        len(laid_out) > 0,
        "This model has no layer with positions that the whole score passes through; explain it at "
        "its inputs, or name a layer.",
        [place.name for place in places],
    )
    kept = [place for place in laid_out if place.ends != "nothing"] or laid_out
    kept = [place for place in kept if place.joined] or kept
    fewest = min(fewest, max(place.positions for place in kept))
    kept = [place for place in kept if place.positions >= fewest]
    blocks = [p for p in kept if p.ends == "block" and p.positions == kept[-1].positions]
    return (blocks or kept)[-1]


class Survey:
    """The places of a model for one of its outputs.

    Args:
        ways: The ways to the output.
        inputs: The model's inputs in the graph, by name.
        name_of: What the user calls a tensor of the graph; None if it has no name.
        tensor_of: The tensor that a name means; None if it means none.
    """

    def __init__(
        self,
        ways: Ways,
        inputs: Mapping[str, tf.Tensor],
        name_of: Callable[[tf.Tensor], str | None],
        tensor_of: Callable[[str], tf.Tensor | None],
    ) -> None:
        self._ways, self._inputs = ways, inputs
        self._name_of, self._tensor_of = name_of, tensor_of

    @functools.cached_property
    def places(self) -> list[Place]:
        """The inner tensors that all of the score comes through, in order."""
        inner = [cut for cut in self._ways.cuts if cut.op.type != "Placeholder"]
        cuts = [cut for cut in inner if _holds_rows(cut)]
        named = [(cut, self._name_of(cut)) for cut in cuts if cut is not self._ways.score]
        return [self._place(cut, name) for cut, name in named if name is not None]

    @property
    def known(self) -> str:
        """The places that there are to choose among, in words."""
        names = [place.name for place in self.places if place.ends != "nothing"]
        if not names:
            return "It has no suitable place."
        return f"Places: {', '.join(names[-_MOST_NAMED:])}; for example layer={names[-1]!r}."

    def found(self, fewest: int = FEWEST_POSITIONS) -> Place:
        """The place where the user names none: of a text its embedding, else as `choose` does.

        Raises:
            ValueError: no place has positions.
        """
        laid_out = [place for place in self.places if place.positions > 1]
        if self._ways.looks_up and laid_out:
            return laid_out[0]
        return choose(self.places, fewest)

    def scales(self) -> list[Place]:
        """Up to three places, the fine one first.

        The last with a quarter of the picture's pixels a side; that of `choose`; and the last with
        more than one position behind which there are weights.

        Raises:
            ValueError: no place lies over a picture.
        """
        over = [place for place in self.places if place.layout is not None]
        check(
            not any(_is_open(source) for source in self._ways.sources),
            "The model leaves the image size open, so the positions of its layers in the image are "
            "unknown; give it: load_model(..., shape=(224, 224, 3)), or --shape=224,224,3.",
            [tuple(source.shape[1:]) for source in self._ways.sources],
        )
        check(
            len(over) > 0,
            "This model has no layer that maps onto the image and that the whole score passes "
            "through (layers whose channels come first are not mapped); explain it at its inputs, "
            "or name layers.",
            [place.name for place in self.places],
        )
        quarter = min(cast(Layout, over[0].layout).picture) // 4
        coarse = [p for p in over if p.ends != "nothing" and p.positions > 1]
        chosen = [choose(over, quarter), choose(over), *coarse[-1:]]
        return list({place.name: place for place in chosen}.values())

    def of(self, name: str) -> Place | None:
        """The place of a name; None for what has no one tensor in the graph, such as a loop's.

        Raises:
            ValueError: a gradient has a way round it.
        """
        tensor = self._tensor(name)
        if tensor is None:
            return None
        self.check_all_comes_through([name])
        return self._place(tensor, name)

    def check_all_comes_through(self, names: Sequence[str]) -> None:
        """Raises `ValueError` if a gradient has a way round layers.

        Those that have no one tensor in the graph are passed over: whole numbers, features.
        """
        found = [self._tensor(name) for name in names]
        tensors = [tensor for tensor in found if tensor is not None]
        check(
            not tensors or not self._ways.goes_round(tensors),
            f"Part of the score bypasses {'this layer' if len(names) == 1 else 'these layers'}. "
            f"{self.known}",
            names[0] if len(names) == 1 else tuple(names),
        )

    def _tensor(self, name: str) -> tf.Tensor | None:
        return self._inputs[name] if name in self._inputs else self._tensor_of(name)

    def _place(self, tensor: tf.Tensor, name: str) -> Place:
        behind = self._ways.behind(tensor)
        return Place(
            name=name,
            shape=tuple(tensor.shape[1:].as_list()),
            layout=self._layout(tensor),
            behind=sum(self._costs[op] for op in behind) / max(sum(self._costs.values()), 1),
            joined=any(op in self._joining for op in behind),
            ends=self._ends(tensor),
        )

    def _layout(self, tensor: tf.Tensor) -> Layout | None:
        """How a tensor lies over the picture: as a grid, or as tokens of one that came before."""
        if self._picture is None:
            return None
        seen = tuple(self._picture.shape[1:3].as_list())
        if _is_grid(tensor):
            grid = tuple(tensor.shape[1:3].as_list())
            return Layout(grid, seen, 0, self._centres.get(tensor.name))
        if tensor.shape.rank != 3 or tensor.shape[1] is None:
            return None
        before = itertools.takewhile(lambda other: other is not tensor, self._ways.cuts)
        for other in reversed([other for other in before if _is_grid(other)]):
            height, width = other.shape[1:3].as_list()
            skipped = tensor.shape[1] - height * width
            if 0 <= skipped <= _MOST_SKIPPED:
                return Layout((height, width), seen, skipped, self._centres.get(other.name))
        return None

    @functools.cached_property
    def _index(self) -> dict[tf.Operation, int]:
        return {op: index for index, op in enumerate(self._ways.ways)}

    @functools.cached_property
    def _picture(self) -> tf.Tensor | None:
        if len(self._ways.sources) == 1:
            seen = sight_of(self._ways.sources[0])
            if seen is not None and seen.data_format != "channels_last":
                return seen.tensor if seen.native == "channels_last" else None
            if looks_channels_first(self._ways.sources[0].shape):
                return None
        grids = [source for source in self._ways.sources if _is_grid(source)]
        return grids[0] if len(grids) == 1 else None

    @functools.cached_property
    def _centres(self) -> dict[str, Centres]:
        return {} if self._picture is None else centres_of(self._picture, self._ways.ways)

    @functools.cached_property
    def _joining(self) -> set[tf.Operation]:
        reached = {t.name for op in self._ways.ways for t in op.outputs}
        return {op for op in self._ways.ways if joins_positions(op, reached)}

    @functools.cached_property
    def _costs(self) -> dict[tf.Operation, float]:
        return {op: cost_of(op) for op in self._ways.operations}

    def _ends(self, cut: tf.Tensor) -> Ends:
        if cut.op.type in _PADS:  # what is padded says the same, and has no positions of the border
            return "nothing"
        users = [op for op in cut.consumers() if op in self._index]
        while len(users) == 1 and users[0].type in _PASSING_ON:
            users = [op for op in users[0].outputs[0].consumers() if op in self._index]
        if len(users) == 1 and users[0].type not in PRODUCTS:
            return "nothing"
        # From cut to cut back, to where weights come in: in one of several ways, or the only one.
        earlier = list(itertools.takewhile(lambda other: other is not cut, self._ways.cuts))
        for at, before in zip([cut, *reversed(earlier)], reversed(earlier), strict=False):
            first, last = (self._index.get(tensor.op, -1) + 1 for tensor in (before, at))
            between = self._ways.ways[first:last]
            if any(op.type in PRODUCTS for op in between):
                return "block" if len(between) > 1 else "layer"
        return "layer" if self._ways.looks_up else "nothing"  # before any weights


def _holds_rows(tensor: tf.Tensor) -> bool:
    shape = tensor.shape
    return tensor.dtype.is_floating and (shape.rank or 0) >= 2 and shape[0] == ROWS


def _is_open(tensor: tf.Tensor) -> bool:
    return tensor.shape.rank == 4 and None in tensor.shape[1:3]


def _is_grid(tensor: tf.Tensor) -> bool:
    shape = tensor.shape
    return shape.rank == 4 and None not in shape[1:3] and 1 not in shape[1:3]
