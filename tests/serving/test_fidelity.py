# ruff: noqa: E501, a table has a line for each case
"""`tfgig-serve` answers as TensorFlow Serving does: one row for each thing that may be asked.

The statuses and texts are TensorFlow Serving's own. Where the server differs on purpose, against
abuse or for want of a process that may end, docs/serving.md says so.
"""

import dataclasses
import gzip
import json
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.cases import images
from tests.serving.conftest import options, save
from tfgig.serving import LocalServer

IMAGES = images(2)
ROWS = IMAGES.tolist()
NAMED = [{"image": row, "target": 1} for row in ROWS]
PREDICT = "/v1/models/tiny:predict"
PARSE = "JSON Parse error: "


@dataclasses.dataclass(frozen=True)
class Rest:
    """A request over REST and its answer."""

    what: str
    status: int
    says: str = ""  # stands in the body, or in the error
    path: str = PREDICT
    method: str = "POST"
    body: Any = None
    headers: tuple = ()
    model: str = "tiny"


def explaining(**body):
    return {"signature_name": "explain_ig", **body}


REST = [
    # Addresses
    Rest("status", 200, path="/v1/models/tiny", method="GET"),
    Rest("an unknown model's status", 404, "Could not find any versions of model other", "/v1/models/other", "GET"),
    Rest("an unknown version's status", 404, "Could not find version 9 of model tiny", "/v1/models/tiny/versions/9", "GET"),
    Rest("an unknown label's status: it does not count", 200, '"AVAILABLE"', "/v1/models/tiny/labels/x", "GET"),
    Rest("no model", 400, "Missing model name in request.", "/v1/models", "GET"),
    Rest("metadata", 200, '"__saved_model_init_op"', "/v1/models/tiny/metadata", "GET"),
    Rest("an unknown model's metadata", 404, "Servable not found for request: Latest(other)", "/v1/models/other/metadata", "GET"),
    Rest("an unknown label's metadata", 400, "Unrecognized servable version label: x", "/v1/models/tiny/labels/x/metadata", "GET"),
    Rest("an unknown model", 404, "Servable not found for request: Latest(other)", "/v1/models/other:predict", body={"instances": ROWS}),
    Rest("an unknown version", 404, "Servable not found for request: Specific(tiny, 9)", "/v1/models/tiny/versions/9:predict", body={"instances": ROWS}),
    Rest("an unknown label", 400, "Unrecognized servable version label: x", "/v1/models/tiny/labels/x:predict", body={"instances": ROWS}),
    Rest("the largest version", 404, f"Specific(tiny, {2**63 - 1})", f"/v1/models/tiny/versions/{2**63 - 1}:predict", body={"instances": ROWS}),
    Rest("a version beyond all numbers: no word", 400, "", "/v1/models/tiny/versions/99999999999999999999:predict", body={"instances": ROWS}),
    Rest("a method in capitals", 400, "Malformed request: POST /v1/models/tiny:PREDICT", "/v1/models/tiny:PREDICT", body={"instances": ROWS}),
    Rest("a query behind a status: it is of the name", 404, "Could not find any versions of model tiny?a=1", "/v1/models/tiny?a=1", "GET"),
    Rest("a query behind a prediction", 400, "Malformed request: POST /v1/models/tiny:predict?a=1", f"{PREDICT}?a=1", body={"instances": ROWS}),
    Rest("a slash at the end", 400, "Malformed request: GET /v1/models/tiny/", "/v1/models/tiny/", "GET"),
    Rest("another address", 400, "Malformed request: GET /v1/other", "/v1/other", "GET"),
    Rest("no address of this API", 404, "<H1>Not Found</H1>", "/other", "GET"),
    Rest("PUT", 400, "Malformed request: PUT /v1/models/tiny", "/v1/models/tiny", "PUT"),
    Rest("DELETE", 400, "Malformed request: DELETE /v1/models/tiny", "/v1/models/tiny", "DELETE"),
    Rest("POST where GET is", 400, "Malformed request: POST /v1/models/tiny", "/v1/models/tiny"),
    Rest("GET where POST is", 400, "Malformed request: GET /v1/models/tiny:predict", method="GET"),
    Rest("OPTIONS: no word", 400, "", "/v1/models/tiny", "OPTIONS"),
    Rest("HEAD", 400, "", "/v1/models/tiny", "HEAD"),
    # Bodies
    Rest("a body in gzip", 200, body=gzip.compress(json.dumps({"instances": ROWS}).encode()), headers=(("Content-Encoding", "gzip"),)),
    Rest("a body said to be in gzip", 400, f"{PARSE}The document is empty", body=b'{"instances": []}', headers=(("Content-Encoding", "gzip"),)),
    Rest("no body", 400, f"{PARSE}The document is empty", body=b""),
    Rest("no JSON", 400, f"{PARSE}Invalid value. at offset: 0", body=b"x"),
    Rest("more than JSON", 400, f"{PARSE}The document root must not be followed by other values.", body=b"{} {}"),
    Rest("a list", 400, "Is not object", body=[1]),
    Rest("no rows and no columns", 400, "Missing 'inputs' or 'instances' key", body={"image": ROWS}),
    Rest("rows and columns", 400, "expecting only one of 'inputs' or 'instances' keys to exist", body={"instances": ROWS, "inputs": ROWS}),
    Rest("no row", 400, "No values in 'instances' array", body={"instances": []}),
    Rest("rows that are none", 400, "Excepting 'instances' to be an list/array", body={"instances": 3}),
    Rest("other keys", 200, body={"instances": ROWS, "parameters": {"a": 1}}),
    Rest("a key that stands twice: the first", 200, body=b'{"instances": %s, "instances": 3}' % json.dumps(ROWS).encode()),
    Rest("a number beyond a double", 400, f"{PARSE}Number too big to be stored in double.", body=json.dumps({"instances": ROWS}).replace("0.", "1e400, 0.", 1).encode()),
    # Signatures
    Rest("an unknown signature", 400, 'Serving signature name: "nope" not found in signature def', body={"signature_name": "nope", "instances": ROWS}),
    Rest("a signature that is null", 400, "'signature_name' key must be a string value.", body={"signature_name": None, "instances": ROWS}),
    Rest("no signature's name", 200, body={"signature_name": "", "instances": ROWS}),
    Rest("TensorFlow's own signature", 400, "Failed to get input map for signature: __saved_model_init_op", body={"signature_name": "__saved_model_init_op", "instances": ROWS}),
    Rest("classify", 400, "Expected classification signature method_name to be tensorflow/serving/classify. Was: tensorflow/serving/predict", "/v1/models/tiny:classify", body={"examples": [{"a": 1}]}),
    Rest("regress", 400, "Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict", "/v1/models/tiny:regress", body={"examples": [{"a": 1}]}),
    Rest("classify without examples", 400, "key 'examples' is expected and was not found", "/v1/models/tiny:classify", body={}),
    # Rows
    Rest("rows by name", 200, body=explaining(instances=NAMED)),
    Rest("rows without names", 400, "instances is a plain list, but expecting list of objects", body=explaining(instances=ROWS)),
    Rest("a row without an input", 400, "Failed to process element: 0 of 'instances' list. JSON object: ", body=explaining(instances=[{"image": ROWS[0]}])),
    Rest("and what it needs", 400, " keys must be equal to: image,target", body=explaining(instances=[{"image": 1}])),
    Rest("a row with another input", 400, "Failed to process element: 0 key: more of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: more", body={"instances": [{"image": ROWS[0], "more": 1}]}),
    Rest("a value among objects", 400, "Expecting object but got list at item 1 of input list", body=explaining(instances=[NAMED[0], 1])),
    Rest("an object among values", 400, "Expecting value/list but got object at item 1 of input list", body={"instances": [ROWS[0], NAMED[0]]}),
    Rest("a smaller row", 400, "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 360 but got: 330", body={"instances": [ROWS[0], ROWS[1][1:]]}),
    Rest("a row of another shape", 400, "Expecting shape [12,10,3] but got: [10,12,3]", body={"instances": [ROWS[0], IMAGES[1].transpose(1, 0, 2).tolist()]}),
    Rest("a ragged row", 400, "Encountered list at unexpected size: 2 at level: 1 expected size: 3", body={"instances": [[[1, 2, 3], [1, 2]]]}),
    Rest("a boolean for a number", 400, "JSON Value: true Type: True is not of expected type: float", body={"instances": [[[[True]]]]}),
    Rest("a text for a number", 400, 'JSON Value: "a" Type: String is not of expected type: float', body={"instances": ["a"]}),
    Rest("a fraction for a class", 400, "JSON Value: 1.5 Type: Number is not of expected type: int64", body=explaining(instances=[{"image": ROWS[0], "target": 1.5}])),
    Rest("a class beyond 64 bits", 400, "is not of expected type: int64", body=explaining(instances=[{"image": ROWS[0], "target": 2**70}])),
    Rest("a number beyond a float", 200, body=json.dumps({"instances": [np.full([12, 10, 3], 1e39).tolist()]}).encode()),
    Rest("a whole number beyond 64 bits for a float", 200, body={"instances": [np.full([12, 10, 3], 2**70, object).tolist()]}),
    Rest("numbers that are none", 200, body=json.dumps({"instances": [np.full([12, 10, 3], np.nan).tolist()]}).encode()),
    Rest("a wrong rank", 400, "Shape of tensor image [1,2] is not compatible with expected shape [?,12,10,3].", body={"instances": [[1, 2]]}),
    Rest("one image without the batch", 400, "is not compatible with expected shape [?,12,10,3].", body={"inputs": ROWS[0]}),
    # Columns
    Rest("columns", 200, '"outputs"', body={"inputs": ROWS}),
    Rest("columns by name", 200, body={"inputs": {"image": ROWS}}),
    Rest("columns with another one", 200, body={"inputs": {"image": ROWS, "more": [1]}}),
    Rest("a column too few", 400, "Missing named input: target in 'inputs' object.", body=explaining(inputs={"image": ROWS})),
    Rest("one column of two", 400, "inputs is a plain value/list, but expecting an object", body=explaining(inputs=ROWS)),
    Rest("one class for all rows", 200, '"target":[3,3]', body=explaining(inputs={"image": ROWS, "target": [3]})),
    Rest("one class for all rows, without a list", 200, '"target":[3,3]', body=explaining(inputs={"image": ROWS, "target": 3})),
    Rest("an empty list", 400, "Shape of tensor image [0] is not compatible with expected shape", body={"inputs": []}),
    # Other types: a text, bytes, and a small whole number
    Rest("texts", 200, '["a1","b2"]', body={"inputs": {"text": ["a", "b"], "small": [1, 2]}}, model="other"),
    Rest("bytes without padding", 200, '["a1"]', body={"inputs": {"text": [{"b64": "YQ"}], "small": [1]}}, model="other"),
    Rest("bytes in lines", 200, '["abcd1"]', body={"inputs": {"text": [{"b64": "YWJj\nZA=="}], "small": [1]}}, model="other"),
    Rest("no base64", 400, "Unable to base64 decode", body={"inputs": {"text": [{"b64": "?"}], "small": [1]}}, model="other"),
    Rest("an object for a text", 400, "not formatted correctly for base64 data", body={"inputs": {"text": [{"b": 1}], "small": [1]}}, model="other"),
    Rest("a number for a text", 400, "JSON Value: 3 Type: Number is not of expected type: string", body={"inputs": {"text": [3], "small": [1]}}, model="other"),
    Rest("a small type wraps around", 200, '["a44"]', body={"inputs": {"text": ["a"], "small": [300]}}, model="other"),
    Rest("a small type beyond 32 bits", 400, "is not of expected type: uint8", body={"inputs": {"text": ["a"], "small": [2**31]}}, model="other"),
    Rest("no rows in two columns", 200, '"outputs":[]', body={"inputs": {"text": [], "small": []}}, model="other"),
]  # fmt: skip


@pytest.fixture(scope="module")
def others(tmp_path_factory, server):
    """The servers by their model's names."""
    base = tmp_path_factory.mktemp("models") / "other"
    specs = (tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([None], tf.uint8, "small"))
    save(base / "1", lambda text, small: {"y": text + tf.strings.as_string(small)}, *specs)
    with LocalServer(base, options()) as other:
        yield {"tiny": server, "other": other}


@pytest.mark.parametrize("case", REST, ids=lambda case: case.what)
def test_rest(others, case):
    body = case.body
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    url = others[case.model].rest_address + case.path.replace("tiny:", f"{case.model}:")
    answer = requests.request(
        case.method, url, data=body, headers=dict(case.headers), timeout=60, allow_redirects=False
    )
    assert answer.status_code == case.status, answer.text[:500]
    text = answer.text
    if text.startswith('{"error"'):
        text = answer.json()["error"]
    assert case.says in text, text[:500]
    if not case.says and case.status != 200:
        assert not text


def message(**changes):
    request = predict_pb2.PredictRequest(**{"model_spec": {"name": "tiny"}, **changes})
    if "inputs" not in changes:
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(IMAGES))
    return request


def inputs(**values):
    return {name: tf.make_tensor_proto(value) for name, value in values.items()}


def negative():
    value = tensor_pb2.TensorProto(dtype=tf.float32.as_datatype_enum)
    value.tensor_shape.dim.add(size=-1)
    return {"image": value}


SPEC = {"name": "tiny"}
GRPC = [
    ("a prediction", "Predict", message(), "OK", ""),
    ("no model", "Predict", predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    ("no model's name", "Predict", message(model_spec={"signature_name": "x"}), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ("an unknown model", "Predict", message(model_spec={"name": "no"}), "NOT_FOUND", "Servable not found for request: Latest(no)"),
    ("an unknown version", "Predict", message(model_spec={**SPEC, "version": {"value": 9}}), "NOT_FOUND", "Servable not found for request: Specific(tiny, 9)"),
    ("an unknown label", "Predict", message(model_spec={**SPEC, "version_label": "x"}), "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
    ("an unknown signature", "Predict", message(model_spec={**SPEC, "signature_name": "nope"}), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
    ("TensorFlow's own signature", "Predict", message(model_spec={**SPEC, "signature_name": "__saved_model_init_op"}), "OUT_OF_RANGE", "output index too large"),
    ("a default", "Predict", message(model_spec={**SPEC, "signature_name": "explain_ig"}), "OK", ""),
    ("no input", "Predict", message(inputs={}), "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({image}). Sent extra: {}. Missing but required: {image}."),
    ("an input too many", "Predict", message(inputs=inputs(image=IMAGES, more=[1])), "INVALID_ARGUMENT", "Sent extra: {more}"),
    ("a double", "Predict", message(inputs=inputs(image=IMAGES.astype(np.float64))), "INVALID_ARGUMENT", "Expects arg[0] to be float but double is provided"),
    ("a class of 32 bits", "Predict", message(model_spec={**SPEC, "signature_name": "explain_ig"}, inputs=inputs(image=IMAGES, target=np.int32([1, 2]))), "INVALID_ARGUMENT", "Expects arg[1] to be int64 but int32 is provided"),
    ("a wrong shape", "Predict", message(inputs=inputs(image=IMAGES[0])), "INVALID_ARGUMENT", "Shape of tensor image [12,10,3] is not compatible with expected shape [?,12,10,3]."),
    ("a negative size", "Predict", message(inputs=negative()), "INVALID_ARGUMENT", "tensor parsing error: image"),
    ("an unknown output", "Predict", message(output_filter=["no"]), "INVALID_ARGUMENT", "output tensor alias not found in signature: no Outputs expected to be in the set {output_0}."),
    ("an output twice", "Predict", message(output_filter=["output_0"] * 2), "INVALID_ARGUMENT", "duplicate output tensor alias: output_0"),
    ("a classification", "Classify", classification_pb2.ClassificationRequest(model_spec=SPEC), "INVALID_ARGUMENT", "Expected classification signature method_name"),
    ("a regression", "Regress", regression_pb2.RegressionRequest(model_spec=SPEC), "INVALID_ARGUMENT", "Expected regression signature method_name"),
    ("metadata of nothing", "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest(model_spec=SPEC), "INVALID_ARGUMENT", "must specify at least one metadata_field"),
    ("metadata of another kind", "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest(model_spec=SPEC, metadata_field=["other"]), "INVALID_ARGUMENT", "Metadata field other is not supported"),
    ("a status", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(model_spec=SPEC), "OK", ""),
    ("an unknown version's status", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(model_spec={**SPEC, "version": {"value": 9}}), "NOT_FOUND", "Could not find version 9 of model tiny"),
    ("an unknown label's status: it does not count", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(model_spec={**SPEC, "version_label": "x"}), "OK", ""),
    ("no model's status", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "call", "request_", "code", "says"),
    GRPC,
    ids=lambda v: v if isinstance(v, str) and " " in v else "",
)
def test_grpc(stubs, what, call, request_, code, says):
    service = stubs.models if call == "GetModelStatus" else stubs.predictions
    if code == "OK":
        getattr(service, call)(request_, timeout=60)
        return
    with pytest.raises(grpc.RpcError) as caught:
        getattr(service, call)(request_, timeout=60)
    assert caught.value.code().name == code, caught.value.details()
    assert says in caught.value.details()


def test_metadata_holds_tensorflows_own_signature(stubs):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.CopyFrom(model_pb2.ModelSpec(name="tiny"))
    found = get_model_metadata_pb2.SignatureDefMap()
    stubs.predictions.GetModelMetadata(request, timeout=60).metadata["signature_def"].Unpack(found)
    assert "__saved_model_init_op" in found.signature_def


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (np.float32(0.2), "0.2"),
        (np.float32(1), "1.0"),
        (np.float32(9_000_000), "9e+06"),
        (np.float32(1) / np.float32(3), "0.333333343"),
        (np.float64(0.2), "0.2"),
        (np.float64(1) / 3, "0.33333333333333331"),
        (np.float32("nan"), "NaN"),
        (np.float32("-inf"), "-Infinity"),
    ],
)
def test_numbers_are_written_as_tensorflow_serving_writes_them(number, text):
    from tfgig.serving.protocol.json_answers import encode_outputs

    assert (
        encode_outputs({"y": np.array([number])}, "row").decode() == f'{{"predictions":[{text}]}}'
    )
