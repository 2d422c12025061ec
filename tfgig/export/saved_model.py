"""Writing a model out once more, with signatures that explain."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import keras
import tensorflow as tf

from tfgig.explaining import Explaining
from tfgig.export.endpoint import Endpoint, Methods, default_methods, endpoints_of
from tfgig.export.publish import version_at
from tfgig.export.signatures import Signatures
from tfgig.export.trimming import trim
from tfgig.export.warmup import write_warmup
from tfgig.exported.description import (
    Description,
    EndpointDescription,
    Tensor,
    write_description,
)
from tfgig.exported.kinds import KINDS
from tfgig.exported.lane import Lane
from tfgig.exported.signatures import SERVING_DEFAULT, target_beside
from tfgig.image.axes import picture_shape
from tfgig.methods import Method
from tfgig.models import SourceModel, load_model
from tfgig.models.graphs.places import Place
from tfgig.models.graphs.rows import words_of_doubt
from tfgig.models.picture import Picture
from tfgig.spec import check_is, to_config
from tfgig.targets import ClassScore, Target


def export_saved_model(
    model: keras.Model | SourceModel | str | os.PathLike,
    path: str | os.PathLike,
    methods: Methods | None = None,
    target: Target = ClassScore(),
    version: int | None = None,
    overwrite: bool = False,
    warmup: Sequence[int] = (1,),
    lane: Lane = Lane(),
) -> pathlib.Path | str:
    """Exports a model as a SavedModel for TensorFlow Serving, with explaining endpoints.

    `serving_default` is the model's own, bit for bit. Each name in `methods` adds `explain_<name>`
    and, for image models, `heatmap_<name>`. `assets.extra/tfgig.json` describes what each endpoint
    computes. The version is written atomically.

    Args:
        model: A Keras model, anything that `tfgig.load_model` accepts, or its result.
        path: The model's directory; versions are its numbered sub-directories. It may be an address
            on a file system that TensorFlow supports, such as gs://bucket/model. Object stores have
            no rename: there the version's files appear one by one, `saved_model.pb` last, and
            servers do not load a version without it.
        methods: Names of presets; or methods by your own names, `{"mine": PathIntegral(...)}`, each
            at its own place if needed, `{"fine": At("b5_add", PathIntegral(...))}`; or `Endpoint`
            objects for full control. None takes `ig`, `guided_ig` and, for image models with a
            suitable layer, `block_ig`.
        target: The output that the named methods explain.
        version: The version's number; None takes the next free one.
        overwrite: Whether an existing version is replaced.
        warmup: The batch sizes of the warm-up records of each signature. Servers run the records
            when they load the version, and reject it if one fails. () writes none.
        lane: How many explanations may run at once, in any server, and how many may wait.

    Returns:
        The version's directory; at an address, its address.

    Raises:
        FileExistsError: the version exists.
        OSError: the disk is full or read-only; nothing is left behind.
        ValueError: the model cannot be explained, or the endpoints are invalid.
    """
    check_is(target, Target, "target")
    check_is(lane, Lane, "lane")
    destination = version_at(path, version, overwrite)
    source = load_model(model)
    _warn_of_unnamed(source)
    explaining = Explaining(source, as_is=lane.at_once > 0)
    methods = default_methods(source, target) if methods is None else methods
    endpoints = endpoints_of(source, methods, target, explaining)
    signatures = Signatures(source, explaining, lane)
    functions = signatures.build(endpoints)
    with destination.incoming() as directory:
        _save(source, functions, [endpoint.name for endpoint in endpoints], directory)
        description = _description(source, signatures, endpoints)
        write_description(dataclasses.replace(description, lane=lane), directory)
        write_warmup(directory, warmup)
    return destination.directory


def _warn_of_unnamed(source: SourceModel) -> None:
    """Warns of inputs whose names are another in the next process."""
    counted = [s.name for s in source.inputs if re.fullmatch(r"keras_tensor(_\d+)?", s.name or "")]
    if counted:
        warnings.warn(
            f"The model's input is called {', '.join(counted)}, with a counter of this process. "
            "Clients use input names, so the next export may break them. Name the input in the "
            'model: keras.Input(shape, name="image"); or here: load_model(model, '
            'input_names=("image",)) (--input_names=image).',
            stacklevel=3,
        )


def _save(
    source: SourceModel,
    functions: dict[str, Callable],
    explaining: Sequence[str],
    directory: pathlib.Path,
) -> None:
    module = tf.Module()
    # The raw variables that the graphs read, not Keras's: those are stored twice, or are not
    # found by the C++ loader.
    model, served = source.model, source.model.served
    module._weights = _variables([served.serve, model.serve, *served.signatures.values()])
    module._resources = list(model.resources)
    module._origin_of_weights = _Untracked(model.origin)
    for name, function in functions.items():
        if not hasattr(module, name):  # such as `variables`
            setattr(module, name, function)  # TFSMLayer looks for attributes before signatures
    module.serve = functions[SERVING_DEFAULT]  # Keras's name for it
    try:
        tf.saved_model.save(module, str(directory), signatures=functions)
        trim(directory, explaining)
    except tf.errors.OpError as error:
        # Python's own OSError for what the C++ file system says, so that there is one to catch.
        raise OSError(error.message) from error
    except AssertionError as error:
        if "untracked" not in str(error):
            raise
        raise ValueError(
            "The model uses a table or another resource that does not belong to any of its layers. "
            f"Make it an attribute of the layer that uses it ({str(error).partition('.')[0]}). "
            f"Received: {source.name!r}."
        ) from error


def _described(place: Place | None) -> dict[str, Any] | None:
    """What the description says of a place."""
    if place is None:
        return None
    layout = None if place.layout is None else place.layout.to_config()
    return {"name": place.name, "layout": layout}


def _output_of(source: SourceModel, endpoint: Endpoint) -> str:
    """The output of `serving_default` that an endpoint explains."""
    name = endpoint.target.name_of(source.cut.forward.structured_outputs)
    return source.model.served.output_names[name]


def _variables(functions: Sequence[Any]) -> list[tf.Variable]:
    found = [variable for function in functions for variable in function.graph.variables]
    return list({id(variable): variable for variable in found}.values())


class _Untracked:
    """Keeps an object alive without having it saved."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _description(
    source: SourceModel, signatures: Signatures, endpoints: Sequence[Endpoint]
) -> Description:
    picture = source.picture
    return Description(
        model=source.name,
        inputs=tuple(map(Tensor.of, source.inputs)),
        target=target_beside([spec.name for spec in source.inputs]),
        picture=None if picture is None else Tensor.of(_pictured(picture)),
        data_format="channels_last" if picture is None else picture.data_format,
        value_range=source.value_range,
        endpoints={
            endpoint.name: _of_endpoint(source, signatures, endpoint) for endpoint in endpoints
        },
        labels=source.model.labels,
    )


def _pictured(picture: Picture) -> tf.TensorSpec:
    """The spec of a picture as [None, height, width, channels]."""
    spec = picture.spec
    shape = picture_shape(spec.shape.as_list(), picture.data_format)
    return tf.TensorSpec(shape, spec.dtype, spec.name)


def _of_endpoint(
    source: SourceModel, signatures: Signatures, endpoint: Endpoint
) -> EndpointDescription:
    kind, cut = KINDS[endpoint.kind], signatures.explained(endpoint)
    return EndpointDescription(
        kind=endpoint.kind,
        method=to_config(endpoint.method),
        target=to_config(endpoint.target),
        complete=cast(Method, endpoint.method).complete,
        layer=endpoint.layer,
        overlay=to_config(endpoint.overlay) if kind.draws else None,
        place=_described(signatures.place(endpoint)),
        explained=tuple(map(Tensor.of, cut.explained)),
        output=_output_of(source, endpoint),
        columns=kind.columns(cut),
        left_out=cut.left_out,
        doubt=None if cut.doubt is None else words_of_doubt(cut.doubt),
    )
