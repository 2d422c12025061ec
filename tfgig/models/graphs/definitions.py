"""Changes to the definitions of graphs, before their operations are copied."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf


def drop_colocations(definition: tf.compat.v1.GraphDef, present: Collection[str]) -> None:
    """Lets no node stand beside one that is left behind, such as the place of a variable."""
    for node in definition.node:
        places = node.attr["_class"].list.s if "_class" in node.attr else ()
        if any(place.decode().removeprefix("loc:@") not in present for place in places):
            del node.attr["_class"]


def whole_name(name: str) -> str:
    """A node's input with its index: "x" is short for "x:0"."""
    return name if ":" in name else f"{name}:0"


def drop_waiting(definition: tf.compat.v1.GraphDef, names: Collection[str]) -> None:
    """Lets no node wait for what is replaced: the placeholder stays behind, and has no value."""
    for node in definition.node:
        kept = [name for name in node.input if name[:1] != "^" or name[1:] not in names]
        if len(kept) < len(node.input):
            node.input[:] = kept
