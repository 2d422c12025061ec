"""What a SavedModel reaches outside of itself: files, the network, Python code."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.models.graphs.inlining import called_by

_OUTSIDE = re.compile(
    "|".join(
        (
            "ReadFile|WriteFile|MatchingFiles|FileSystemSetConfiguration|ImmutableConst",
            r"(WholeFile|TextLine|FixedLengthRecord|TFRecord|LMDB)Reader(V\d)?",
            r"(Experimental)?(CSV|LMDB|Sql|Cache|Snapshot|Save|Load|MatchingFiles)Dataset(V\d)?",
            r"(TextLine|FixedLengthRecord|TFRecord|DataService|Register)Dataset(V\d)?",
            r"SnapshotDatasetReader|DistributedSave|InitializeTableFromTextFile(V\d)?",
            r"CreateSummary\w+Writer|PrintV2|Debug(Identity|NanCount|NumericSummary)(V\d)?",
            "Remote(Call|FusedGraphExecute)|_?(Host)?(Send|Recv)|Rpc(Server|Client|Call)",
            "(Eager)?PyFunc(Stateless)?",
            "Save|SaveSlices|SaveV2|Restore|RestoreSlice|RestoreV2|MergeV2Checkpoints",
        )
    )
)
_Nodes = Sequence["tf.compat.v1.NodeDef"]


def reaching_out(meta_graph: meta_graph_pb2.MetaGraphDef) -> tuple[str, ...]:
    """The types of operations that reach outside, but for those that save and restore weights."""
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    functions = {f.signature.name: list(f.node_def) for f in graph.library.function}
    ends = (saver.save_tensor_name, saver.restore_op_name, saver.filename_tensor_name)
    own = _behind(ends, graph.node)
    others = [node for node in graph.node if node.name not in own]
    # What only the saver calls is its own; anything else may save or restore what it likes.
    savers = _called(list(own.values()), functions) - _called(others, functions)
    elsewhere = [body for name, body in functions.items() if name not in savers]
    found = {node.op for body in (others, *elsewhere) for node in body}
    return tuple(sorted(filter(_OUTSIDE.fullmatch, found)))


def _behind(names: Iterable[str], nodes: _Nodes) -> dict[str, tf.compat.v1.NodeDef]:
    """The nodes of these names and those on which they depend."""
    by_name = {node.name: node for node in nodes}
    waiting, found = collections.deque(names), {}
    while waiting:
        name = waiting.popleft().removeprefix("^").partition(":")[0]
        if name in by_name and name not in found:
            found[name] = by_name[name]
            waiting.extend(by_name[name].input)
    return found


def _called(nodes: _Nodes, functions: Mapping[str, _Nodes]) -> set[str]:
    """The names of the functions that nodes call, and those that these call."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for name in called_by(waiting.pop()):
            if name in functions and name not in found:
                found.add(name)
                waiting.extend(functions[name])
    return found
