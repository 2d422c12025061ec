import shutil

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images, quick
from tfgig.export import saved_model
from tfgig.export.trimming import trim
from tfgig.exported.directory import meta_graph_of
from tfgig.serving import SessionModel

METHODS = {name: quick(tfgig.presets.get(name), 3) for name in ("guided_ig", "grad_cam")}
REQUESTS = {"image": images(2), "target": np.array([-1, 1])}


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A version as TensorFlow wrote it, and trimmed."""
    directory = tmp_path_factory.mktemp("export")
    written = directory / "written"

    def copied(version, signatures):
        shutil.copytree(version, written)
        trim(version, signatures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "trim", copied)
        return written, tfgig.export_saved_model(image_model(), directory / "model", METHODS)


def inputs_of(model, signature):
    return {name: REQUESTS[name] for name in model.signatures[signature].inputs}


def functions_in(directory):
    return {f.signature.name: f for f in meta_graph_of(directory).graph_def.library.function}


def test_answers_stay_bit_for_bit(exports):
    with SessionModel(exports[0]) as written, SessionModel(exports[1]) as trimmed:
        assert set(trimmed.signatures) > {"explain_guided_ig", "heatmap_grad_cam"}
        for signature in trimmed.signatures:
            given = inputs_of(trimmed, signature)
            expected, found = (model.run(signature, **given) for model in (written, trimmed))
            for name, values in expected.items():
                np.testing.assert_array_equal(found[name], values)


def test_python_knows_as_much_of_a_signature(exports):
    written, trimmed = (tf.saved_model.load(str(directory)).signatures for directory in exports)
    assert set(written) == set(trimmed)
    for name, function in trimmed.items():
        assert function.structured_input_signature == written[name].structured_input_signature
        assert function.structured_outputs == written[name].structured_outputs
    given = {name: tf.constant(values) for name, values in REQUESTS.items()}
    expected, found = (s["explain_grad_cam"](**given) for s in (written, trimmed))
    for name, values in expected.items():
        assert found[name].shape == values.shape
        np.testing.assert_array_equal(found[name], values)


def test_notes_are_left_out(exports):
    written, trimmed = (functions_in(directory) for directory in exports)
    assert written.keys() == trimmed.keys()
    resource = tf.resource.as_datatype_enum

    def notes(functions):
        return sum(
            len(f.arg_attr[i].attr) + len(argument.handle_data)
            for f in functions.values()
            for i, argument in enumerate(f.signature.input_arg)
            if argument.type == resource
        )

    assert notes(trimmed) < notes(written) / 4
    assert sum("_input_shapes" in f.attr for f in trimmed.values()) < len(trimmed) / 2


def test_the_model_keeps_its_notes(exports):
    """A model is loaded again from its own signature."""
    written, trimmed = (functions_in(directory) for directory in exports)
    kept = [name for name in trimmed if name.startswith(("__inference_signature_wrapper_serve_",))]
    assert kept
    for name in kept:
        assert trimmed[name] == written[name]


def test_the_checksum_is_that_of_the_trimmed_graph(exports):
    written, trimmed = map(tf.saved_model.experimental.read_fingerprint, map(str, exports))
    assert trimmed.saved_model_checksum != written.saved_model_checksum
    assert trimmed.signature_def_hash == written.signature_def_hash
