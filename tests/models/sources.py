"""One small classifier, written to disk by every writer there is, and its oracle in NumPy."""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

FEATURES, HIDDEN, CLASSES = 4, 5, 3
LABELS = ("ant", "bee", "cat")
_random = np.random.default_rng(7)
FIRST = _random.normal(size=(FEATURES, HIDDEN)).astype(np.float32)
LAST = _random.normal(size=(HIDDEN, CLASSES)).astype(np.float32)
X = _random.normal(size=(3, FEATURES)).astype(np.float32)


def scores_of(x):
    """softmax(tanh(x FIRST) LAST), float64 [B, CLASSES]."""
    logits = np.tanh(x.astype(np.float64) @ FIRST) @ LAST
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def gradient_of(x, target):
    """The gradient of the score of one class, float64 [B, FEATURES]."""
    hidden = np.tanh(x.astype(np.float64) @ FIRST)
    scores = scores_of(x)
    by_logits = scores[:, [target]] * (np.eye(CLASSES)[target] - scores)
    return ((by_logits @ LAST.T) * (1 - hidden**2)) @ FIRST.T


def dense_model(library):
    """The classifier as a model of `keras` or `tf_keras`."""
    inputs = library.Input((FEATURES,), name="features")
    hidden = library.layers.Dense(HIDDEN, activation="tanh", use_bias=False)(inputs)
    outputs = library.layers.Dense(CLASSES, activation="softmax", use_bias=False, name="scores")
    model = library.Model(inputs, outputs(hidden), name="dense")
    model.set_weights([FIRST, LAST])
    return model


def keras_export(path, tmp_path):
    dense_model(keras).export(path, verbose=False)


def tf_keras_save(path, tmp_path):
    import tf_keras

    dense_model(tf_keras).save(path)


class Module(tf.Module):
    """The classifier with a vocabulary file for its labels, and a second signature."""

    def __init__(self, vocabulary):
        super().__init__()
        self.first, self.last = tf.Variable(FIRST), tf.Variable(LAST)
        self.unused = tf.Variable(tf.zeros([100]))
        self.labels = tf.lookup.StaticHashTable(vocabulary, "?")

    @tf.function(input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, "features")])
    def classify(self, features):
        scores = tf.nn.softmax(tf.tanh(features @ self.first) @ self.last)
        return {"scores": scores, "label": self.labels.lookup(tf.argmax(scores, 1))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, HIDDEN], tf.float32, "hidden"),
            tf.TensorSpec([], tf.float32, "temperature"),
        ]
    )
    def decode(self, hidden, temperature):
        return {"scores": tf.nn.softmax(hidden @ self.last / temperature)}


def vocabulary_file(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS))
    return tf.lookup.TextFileInitializer(
        str(file),
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
    )


def module(path, tmp_path):
    made = Module(vocabulary_file(tmp_path))
    tf.saved_model.save(
        made, str(path), signatures={"serving_default": made.classify, "decode": made.decode}
    )
    (tmp_path / "labels.txt").unlink()


def reusable(path, tmp_path):
    """A TensorFlow 2 hub module: to be called, without signatures."""

    class Reusable(tf.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = tf.Variable(FIRST), tf.Variable(LAST)

        @tf.function
        def __call__(self, features, training=False):
            hidden = tf.tanh(features @ self.first)
            hidden = tf.zeros_like(hidden) if training else hidden
            return tf.nn.softmax(hidden @ self.last)

    made = Reusable()
    spec = tf.TensorSpec([None, FEATURES], tf.float32, "features")
    for training in (True, False):
        made.__call__.get_concrete_function(spec, training=training)
    tf.saved_model.save(made, str(path))


def builder(path, tmp_path, variables="reference", table=False):
    """TensorFlow 1: a graph, a session and `SavedModelBuilder`."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        features = v1.placeholder(tf.float32, [None, FEATURES], "features")
        if variables == "frozen":
            first, last = tf.constant(FIRST), tf.constant(LAST)
        else:
            make = functools.partial(v1.get_variable, use_resource=variables == "resource")
            with v1.variable_scope("layer"):
                first, last = make("first", initializer=FIRST), make("last", initializer=LAST)
        scores = tf.nn.softmax(tf.tanh(features @ first) @ last)
        outputs = {"scores": scores}
        if table:
            labels = tf.lookup.StaticHashTable(vocabulary_file(tmp_path), "?")
            outputs["label"] = labels.lookup(tf.argmax(scores, 1))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        write = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def({"features": features}, outputs)
        write.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer() if table else None,
        )
        write.save()
    if table:
        (tmp_path / "labels.txt").unlink()


@contextlib.contextmanager
def old_control_flow():
    """What TensorFlow 1 wrote by itself: loops and branches of Switch, Merge and Enter."""
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        v1.enable_control_flow_v2()


def branches(path, tmp_path):
    """TensorFlow 1: a layer that is another in training, which nobody asks for."""
    with old_control_flow(), tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        features = v1.placeholder(tf.float32, [None, FEATURES], "features")
        training = v1.placeholder_with_default(False, [], "training")
        make = functools.partial(v1.get_variable, use_resource=False)
        first, last = make("first", initializer=FIRST), make("last", initializer=LAST)
        hidden = features @ first
        hidden = v1.cond(
            training,
            lambda: v1.nn.dropout(tf.sin(hidden) @ (last @ tf.transpose(last)), rate=0.5),
            lambda: v1.cond(tf.logical_not(training), lambda: tf.tanh(hidden), lambda: hidden),
        )
        scores = tf.nn.softmax(hidden @ last)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"features": features}, {"scores": scores})


def hub_format(path, tmp_path):
    """The TensorFlow 1 hub format: no tag, the signature "default", and a marker file."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        features = v1.placeholder(tf.float32, [None, FEATURES])
        first, last = (v1.get_variable(n, initializer=v) for n, v in (("a", FIRST), ("b", LAST)))
        scores = tf.nn.softmax(tf.tanh(features @ first) @ last)
        session.run(v1.global_variables_initializer())
        write = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def(
            {"features": features}, {"default": scores}
        )
        write.add_meta_graph_and_variables(session, [], {"default": signature})
        write.save()
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")


def save_function(path, function, spec, **options):
    """A plain module with one signature of one function."""
    made = tf.Module()
    made.function = tf.function(function, input_signature=[spec])
    tf.saved_model.save(
        made, str(path), signatures=made.function, options=tf.saved_model.SaveOptions(**options)
    )


# By name: the writer, and the name of the output that holds the scores.
WRITERS = {
    "keras_export": (keras_export, "output_0"),
    "tf_keras": (tf_keras_save, "scores"),
    "module": (module, "scores"),
    "reusable": (reusable, "output_0"),
    "tf1_reference": (builder, "scores"),
    "tf1_reference_table": (functools.partial(builder, table=True), "scores"),
    "tf1_resource": (functools.partial(builder, variables="resource"), "scores"),
    "tf1_resource_table": (functools.partial(builder, variables="resource", table=True), "scores"),
    "tf1_frozen": (functools.partial(builder, variables="frozen"), "scores"),
    "tf1_branches": (branches, "scores"),
    "tf1_hub": (hub_format, "default"),
}
