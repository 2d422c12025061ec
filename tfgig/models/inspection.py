"""What is in a SavedModel: its signatures, which of them can be explained, and what it weighs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.description import EndpointDescription, read_description
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.gradients import has_gradient, nodes
from tfgig.models.graphs.outside import reaching_out
from tfgig.models.graphs.places import Place, Survey
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.rows import words_of_doubt
from tfgig.models.sources.keras_file import read_keras_file
from tfgig.models.sources.keras_model import from_keras
from tfgig.models.sources.load import located
from tfgig.models.sources.opening import Opened, Signature, open_saved_model, signatures_of
from tfgig.models.sources.saved_model import explainable


@dataclasses.dataclass(frozen=True)
class SignatureReport:
    """One signature.

    Args:
        inputs: "float32 [None, 4]" by name.
        outputs: Likewise; empty where they are not known before a call.
        obstacle: Why it cannot be explained; None if it can.
        without_gradient: The types of its operations that have no gradient. They matter only
            between the input and the output that is explained.
        places: The layers at which its first output can be explained, in order: those that end
            a block, or come before the next weights.
        found: The one that is taken where none is named; None if there is none.
        doubt: Why it is not known whether its rows depend on each other; None if they do not.
        explained: The names of what is explained where no layer is named.
        left_out: The inputs that its outputs depend on and nothing of that does.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]
    obstacle: str | None
    without_gradient: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    found: str | None = None
    doubt: str | None = None
    explained: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A model on disk.

    Args:
        handle: What the user called it.
        form: What it is, in words.
        sizes: In bytes: "graph", "weights" and "assets".
        parameters: How many numbers the weights are.
        signatures: By name; without those that explain.
        endpoints: The descriptions of the signatures that explain, if tfgig wrote it.
        touches: The types of its operations that reach beyond it, to files, the network or Python
            code, when it is loaded or called.
    """

    handle: str
    form: str
    sizes: dict[str, int]
    parameters: int
    signatures: dict[str, SignatureReport]
    endpoints: dict[str, EndpointDescription]
    touches: tuple[str, ...] = ()


def inspect_model(handle: str, allow_unsafe_deserialization: bool = False) -> Inspection:
    """Looks into a model, of any kind that `load_model` takes, and runs nothing of it.

    A SavedModel is a program, and loading it runs the part that makes tables and variables ready.
    Here its operations become part of a graph that nobody runs.

    Raises:
        OSError: the model does not exist, or cannot be read or downloaded.
        ValueError: the file is damaged, or not one of a model.
    """
    with located(handle) as place:
        if place.file is None:
            with tf.Graph().as_default():
                return _inspect(open_saved_model(place.directory, handle))
        return _inspect_file(handle, place.file, allow_unsafe_deserialization)


def _inspect_file(
    handle: str, file: pathlib.Path, allow_unsafe_deserialization: bool
) -> Inspection:
    model = read_keras_file(file, allow_unsafe_deserialization)
    return Inspection(
        handle=handle,
        form="a Keras file",
        sizes={"weights": os.path.getsize(file)},
        parameters=sum(weight.shape.num_elements() for weight in model.weights),
        signatures={"the model": _report_of_keras(model)},
        endpoints={},
    )


def _report_of_keras(model: keras.Model) -> SignatureReport:
    try:
        source = from_keras(model)
    except CannotExplain as error:  # the report is what it says
        # A subclassed model may not know its inputs, and a layer may have several outputs.
        inputs = {tensor.name: _words(tensor) for tensor in getattr(model, "inputs", None) or ()}
        tensors = getattr(model, "outputs", None) or ()
        outputs = {f"output_{index}": _words(tensor) for index, tensor in enumerate(tensors)}
        return SignatureReport(inputs, outputs, str(error).partition(" Received: ")[0])
    values = source.model.serve.structured_outputs.values
    return SignatureReport(
        {spec.name: _words(spec) for spec in source.inputs},
        {name: _words(value) for name, value in values.items()},
        None,
        **_places(source.view.survey(None)),
        **_of_cut(source.cut),
    )


def _places(of: Survey) -> dict[str, Any]:
    places = tuple(place for place in of.places if place.ends != "nothing")
    has_positions = any(place.positions > 1 for place in places)
    return {"places": places, "found": of.found().name if has_positions else None}


def _inspect(opened: Opened) -> Inspection:
    ours = dict(read_description(opened.directory).endpoints)
    found = signatures_of(opened.loaded)
    return Inspection(
        handle=opened.handle,
        form=_form(opened.meta_graph),
        sizes={
            "graph": _size(opened.directory / "saved_model.pb"),
            "weights": _size(opened.directory / "variables"),
            "assets": _size(opened.directory / "assets"),
        },
        parameters=_parameters(opened.directory),
        signatures={
            name: _report(opened, found[name]) for name in sorted(found) if name not in ours
        },
        endpoints=ours,
        touches=reaching_out(opened.meta_graph),
    )


def _report(opened: Opened, signature: Signature) -> SignatureReport:
    inputs = {name: _words(spec) for name, spec in signature.inputs.items()}
    missing = _without_gradient(opened, signature.name)
    try:
        found = explainable(opened, signature)
    except CannotExplain as error:  # the report is what it says
        infos = opened.meta_graph.signature_def[signature.name].outputs.items()
        outputs = {
            name: f"{tf.dtypes.as_dtype(info.dtype).name} "
            f"{_axes(tf.TensorShape(info.tensor_shape))}"
            for name, info in infos
        }
        obstacle = str(error).partition(" Received: ")[0]
        return SignatureReport(inputs, outputs, obstacle, missing)
    values = found.serve.structured_outputs.values
    outputs = {name: _words(value) for name, value in values.items()}
    places = _places(found.view.survey(None))
    return SignatureReport(inputs, outputs, None, missing, **_of_cut(found.view.cut), **places)


def _of_cut(cut: Cut) -> dict[str, Any]:
    return {
        "doubt": None if cut.doubt is None else words_of_doubt(cut.doubt),
        "explained": tuple(spec.name for spec in cut.explained),
        "left_out": cut.left_out,
    }


def _words(spec: Any) -> str:
    return f"{tf.as_dtype(spec.dtype).name} {_axes(tf.TensorShape(spec.shape))}"


def _axes(shape: tf.TensorShape) -> str:
    return "of any shape" if shape.rank is None else str(shape.as_list())


def _form(meta_graph: meta_graph_pb2.MetaGraphDef) -> str:
    objects = meta_graph.HasField("object_graph_def")
    kind = "a SavedModel of functions" if objects else "a SavedModel of one TensorFlow 1 graph"
    return f"{kind}, written by TensorFlow {meta_graph.meta_info_def.tensorflow_version}"


def _size(path: pathlib.Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _parameters(directory: pathlib.Path) -> int:
    prefix = directory / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():
        return 0
    shapes = [shape for name, shape in tf.train.list_variables(str(prefix)) if name[:1] != "_"]
    return sum(tf.TensorShape(shape).num_elements() for shape in shapes)


def _without_gradient(opened: Opened, name: str) -> tuple[str, ...]:
    """The types of operations behind a signature's outputs for which there is no gradient."""
    definition = opened.meta_graph.graph_def
    outputs = opened.meta_graph.signature_def[name].outputs.values()
    by_name = {node.name: node for node in definition.node}
    waiting, behind = [info.name for info in outputs], {}
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in by_name and name not in behind:
            behind[name] = by_name[name]
            waiting.extend(by_name[name].input)
    reached = tf.compat.v1.GraphDef(node=behind.values(), library=definition.library)
    return tuple(sorted({node.op for node in nodes(reached) if not has_gradient(node)}))
