"""Quadratures: where the gradient is evaluated along a path, and which stretch it stands for.

A quadrature cuts [0, 1] into `steps` stretches. The gradient of step k is evaluated at `nodes[k]`
and multiplied by the displacement of the path between `edges[k]` and `edges[k + 1]`. As the edges
run from 0 to 1, the weights always sum to 1 and the displacements telescope to the whole way on
any path, straight or curved.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np

from tfgig.spec import Spec, check

__all__ = ("Endpoints", "GaussLegendre", "Left", "Midpoint", "Quadrature", "Right", "Trapezoid")


class Cut(NamedTuple):
    """A quadrature's table: `nodes` [steps] and `edges` [steps + 1], float64, on [0, 1]."""

    nodes: np.ndarray
    edges: np.ndarray


@dataclasses.dataclass(frozen=True)
class Quadrature(Spec, abc.ABC):
    """A family of tables of nodes and edges.

    `step_ends` says how a step of an adaptive path, whose gradients are known at its two ends
    only, weighs them: `(weight at the start, weight at the end)`; None where a quadrature needs
    gradients elsewhere and so serves fixed paths alone. `nodes_at_starts` says whether every node
    is the start of its step. `error_ratio` is what the error of a sum
    is of the difference of its odd and even nodes, as measured (`docs/accuracy.md`).
    """

    family = "quadrature"
    nodes_at_starts: ClassVar[bool] = False
    error_ratio: ClassVar[float] = 0.82
    fewest_steps: ClassVar[int] = 1
    step_ends: ClassVar[tuple[float, float] | None] = None

    @abc.abstractmethod
    def cut(self, steps: int) -> Cut:
        """The table for `steps` evaluations of the gradient."""

    def halvings(self, steps: int) -> Iterator[Cut]:
        """Tables of the nodes in between, each of which halves the distance of all before.

        The mean of a sum over all nodes so far and of the sum over the next table's is the sum
        over both, so no gradient is evaluated twice. Without end, or empty where nodes do not nest.

        Args:
            steps: How many nodes `cut` has put there first.
        """
        return iter(())


def _even_edges(steps: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, steps + 1)


def _middles(steps: int) -> Iterator[Cut]:
    """The nodes amid those of an even grid of `steps` stretches, then amid all these, and so on."""
    while True:
        yield Midpoint().cut(steps)
        steps *= 2


@dataclasses.dataclass(frozen=True)
class Left(Quadrature):
    """Each gradient at the start of its step; the reference's rule for Guided IG and IDGI."""

    kind = "left"
    nodes_at_starts = True
    step_ends = (1.0, 0.0)

    def cut(self, steps: int) -> Cut:
        edges = _even_edges(steps)
        return Cut(edges[:-1], edges)

    def halvings(self, steps: int) -> Iterator[Cut]:
        return _middles(steps)


@dataclasses.dataclass(frozen=True)
class Right(Quadrature):
    """Each gradient at the end of its step; the sum in Sundararajan et al. (2017), equation 3."""

    kind = "right"
    step_ends = (0.0, 1.0)

    def cut(self, steps: int) -> Cut:
        edges = _even_edges(steps)
        return Cut(edges[1:], edges)

    def halvings(self, steps: int) -> Iterator[Cut]:
        return _middles(steps)


@dataclasses.dataclass(frozen=True)
class Midpoint(Quadrature):
    """Each gradient in the middle of its step: error O(1/steps^2), and robust on ReLU networks."""

    kind = "midpoint"
    error_ratio = 0.57

    def cut(self, steps: int) -> Cut:
        edges = _even_edges(steps)
        return Cut((edges[:-1] + edges[1:]) / 2, edges)

    def halvings(self, steps: int) -> Iterator[Cut]:
        # Midpoints lie amid the edges: together they are the nodes of a trapezoidal sum.
        yield Trapezoid().cut(steps + 1)
        yield from _middles(2 * steps)


@dataclasses.dataclass(frozen=True)
class Trapezoid(Quadrature):
    """Gradients at both ends of every stretch, averaged: half weights at alpha 0 and 1."""

    kind = "trapezoid"
    error_ratio = 0.57
    fewest_steps = 2
    step_ends = (0.5, 0.5)

    def cut(self, steps: int) -> Cut:
        check(steps >= 2, "Trapezoid() needs at least 2 steps.", steps)
        nodes = np.linspace(0.0, 1.0, steps)
        middles = (nodes[:-1] + nodes[1:]) / 2
        return Cut(nodes, np.concatenate([[0.0], middles, [1.0]]))

    def halvings(self, steps: int) -> Iterator[Cut]:
        return _middles(steps - 1)


@dataclasses.dataclass(frozen=True)
class GaussLegendre(Quadrature):
    """Gauss-Legendre nodes and weights: exact for polynomials of degree 2 steps - 1.

    The edges are the running sums of the weights; each node lies within its own stretch
    (the separation theorem of Chebyshev, Markov and Stieltjes).
    """

    kind = "gauss_legendre"
    error_ratio = 0.57

    def cut(self, steps: int) -> Cut:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        edges = np.concatenate([[0.0], np.cumsum(weights / 2)])
        edges[-1] = 1.0
        return Cut((nodes + 1) / 2, edges)


@dataclasses.dataclass(frozen=True)
class Endpoints(Quadrature):
    """Both ends in full, all weights equal: what the PAIR saliency library computes for IG.

    Its error falls as 1/steps only. It is here for parity with published results.
    """

    kind = "endpoints"

    def cut(self, steps: int) -> Cut:
        return Cut(np.linspace(0.0, 1.0, steps), _even_edges(steps))
