"""Messages of TensorFlow Serving that no Python package ships, or not one that exports need.

Only what is used is described: messages by name, each with its fields' numbers and types. On the
wire and as text they are what TensorFlow Serving reads.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from tensorflow.core.framework import tensor_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_PLAIN = {"string": _Field.TYPE_STRING, "int64": _Field.TYPE_INT64, "bool": _Field.TYPE_BOOL}
_TENSOR, _INT64 = ".tensorflow.TensorProto", ".google.protobuf.Int64Value"
_BOOL, _STRING = ".google.protobuf.BoolValue", ".google.protobuf.StringValue"
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {  # "[]": a list
    # Of PredictionLog, the part that warm-up needs. A map is, on the wire, a list of entries.
    "ModelSpec": {"signature_name": (3, "string")},
    "Input": {"key": (1, "string"), "value": (2, _TENSOR)},
    "PredictRequest": {"model_spec": (1, ".tfgig.ModelSpec"), "inputs": (2, "[].tfgig.Input")},
    "PredictLog": {"request": (1, ".tfgig.PredictRequest")},
    "PredictionLog": {"predict_log": (6, ".tfgig.PredictLog")},
    # The files of configuration are text, where the numbers of their fields do not count.
    "BatchingParameters": {
        "max_batch_size": (1, _INT64),
        "batch_timeout_micros": (2, _INT64),
        "max_enqueued_batches": (3, _INT64),
        "num_batch_threads": (4, _INT64),
        "thread_pool_name": (5, _STRING),
        "allowed_batch_sizes": (6, "[]int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, _BOOL),
        "max_execution_batch_size": (9, _INT64),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".tfgig.PrometheusConfig")},
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
    },
    "ModelConfigList": {"config": (1, "[].tfgig.ModelConfig")},
    "ModelServerConfig": {"model_config_list": (1, ".tfgig.ModelConfigList")},
}


def message(name: str) -> Any:
    """The class of a message."""
    return _classes()[name]


@functools.cache
def _classes() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    file = pool.AddSerializedFile(_file().SerializeToString())
    kinds = (file or pool.FindFileByName(_file().name)).message_types_by_name
    return {name: message_factory.GetMessageClass(kind) for name, kind in kinds.items()}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfgig/serving.proto",
        package="tfgig",
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        added = file.message_type.add(name=name)
        for field, (number, declared) in fields.items():
            kind = declared.removeprefix("[]")
            label = _Field.LABEL_OPTIONAL if kind == declared else _Field.LABEL_REPEATED
            if kind in _PLAIN:
                added.field.add(name=field, number=number, label=label, type=_PLAIN[kind])
            else:
                message_type = _Field.TYPE_MESSAGE
                added.field.add(
                    name=field, number=number, label=label, type=message_type, type_name=kind
                )
    return file
