"""Branches of TensorFlow 1 whose condition is settled, such as whether the model is in training."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import tensorflow as tf

Known = Mapping[str, bool]  # by the name of a placeholder
_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")
_PASSING_ON = ("Identity", "PlaceholderWithDefault", *_SWITCHES)


def settle(definition: tf.compat.v1.GraphDef, known: Known = MappingProxyType({})) -> None:
    """Takes out of a graph the branches that are never taken, and the switches before the others.

    A function that is differentiated returns what its gradient needs, and tensors of a branch that
    is not taken have no value to return: servers answer with an error. Where the condition depends
    on an input, all stays as it is.

    Args:
        definition: The graph; it is changed.
        known: The values of conditions that the graph is given.
    """
    nodes = {node.name: node for node in definition.node}
    taken = {}  # by switch: the index of the output that has a value
    for node in definition.node:
        if node.op in _SWITCHES:
            condition = _constant(nodes, node.input[1], known)
            if condition is not None:
                taken[node.name] = int(condition)
    if not taken:
        return
    dead = _dead(definition, taken)
    kept = [n for n in definition.node if n.name not in dead and n.name not in taken]
    for node in kept:
        if node.op in _MERGES:
            _pass_on_the_living(node, dead, taken)
        node.input[:] = [_behind(nodes, name, taken) for name in node.input]
    del definition.node[:]
    definition.node.extend(kept)


def _constant(nodes: dict[str, tf.compat.v1.NodeDef], name: str, known: Known) -> bool | None:
    """The value of a condition, if the graph says it."""
    node = nodes.get(name.partition(":")[0])
    if node is not None and node.name in known:
        return known[node.name]
    if node is None or not (node.op == "Const" or node.input):
        return None
    if node.op == "Const":
        return bool(tf.make_ndarray(node.attr["value"].tensor))
    if node.op == "LogicalNot":
        value = _constant(nodes, node.input[0], known)
        return None if value is None else not value
    return _constant(nodes, node.input[0], known) if node.op in _PASSING_ON else None


def _parts(name: str) -> tuple[str, int]:
    node, _, index = name.removeprefix("^").partition(":")
    return node, int(index or 0)


def _is_dead(name: str, dead: set[str], taken: dict[str, int]) -> bool:
    node, index = _parts(name)
    if node in dead:
        return True
    return node in taken and name[:1] != "^" and index != taken[node]


def _dead(definition: tf.compat.v1.GraphDef, taken: dict[str, int]) -> set[str]:
    """The nodes of the branches that are not taken."""
    dead: set[str] = set()
    before = -1
    while len(dead) > before:
        before = len(dead)
        for node in definition.node:
            every = all if node.op in _MERGES else any
            if node.input and every(_is_dead(name, dead, taken) for name in node.input):
                dead.add(node.name)
    return dead


def _pass_on_the_living(merge: tf.compat.v1.NodeDef, dead: set[str], taken: dict[str, int]) -> None:
    """Makes of a merge of which one input has a value that value."""
    living = [name for name in merge.input if not _is_dead(name, dead, taken)]
    if len(living) == 1 < len(merge.input):
        dtype = merge.attr["T"].type
        merge.attr.clear()
        merge.op = "Identity"
        merge.attr["T"].type = dtype
        merge.input[:] = living


def _behind(nodes: dict[str, tf.compat.v1.NodeDef], name: str, taken: dict[str, int]) -> str:
    """What a switch was given, in the place of its output."""
    while _parts(name)[0] in taken:
        waits = "^" if name[:1] == "^" else ""
        given = nodes[_parts(name)[0]].input[0]
        name = waits + (given.partition(":")[0] if waits else given)
    return name
