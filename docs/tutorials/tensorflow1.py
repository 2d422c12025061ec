# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # A TensorFlow 1 model
#
# Many teams serve a SavedModel whose training code is lost. tfgig needs only the graph. This page builds
# such a model with `tf.compat.v1`, inspects it without running it, and exports it with explanations.

# %%
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

import tfgig

folder = pathlib.Path(tempfile.mkdtemp())
old = str(folder / "old")

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    series = tf.compat.v1.placeholder(tf.float32, [None, 24, 1], "series")
    with tf.compat.v1.variable_scope("block"):
        kernel = tf.compat.v1.get_variable("kernel", [5, 1, 8], use_resource=False)
        hidden = tf.nn.relu(tf.nn.conv1d(series, kernel, 1, "SAME"))
    weights = tf.compat.v1.get_variable("weights", [8, 2], use_resource=False)
    scores = tf.nn.softmax(tf.reduce_mean(hidden, 1) @ weights, name="scores")
    session.run(tf.compat.v1.global_variables_initializer())
    tf.compat.v1.saved_model.simple_save(session, old, {"series": series}, {"scores": scores})

sorted(path.name for path in pathlib.Path(old).iterdir())

# %% [markdown]
# ## Inspect it first
#
# A SavedModel is a program. `tfgig-inspect` reads it without running it.

# %%
# !tfgig-inspect {old}

# %% [markdown]
# ## Explain it
#
# `load_model` takes `signature` to select one of several signatures, and `shape` to set open sizes.

# %%
source = tfgig.load_model(old)
given = np.sin(np.linspace(0, 9, 48)).reshape(2, 24, 1).astype("float32")
explanation = tfgig.Explainer(source, "ig")(given)
tfgig.plot(explanation, rows=[0])

# %% [markdown]
# ## Export it
#
# The export keeps variables, tables, assets and the other signatures. `serving_default` returns bit for
# bit what the old model returned.

# %%
version = tfgig.export_saved_model(source, str(folder / "new"), methods=["ig"])
before = tf.saved_model.load(old).signatures["serving_default"]
after = tf.saved_model.load(str(version)).signatures
same = (
    before(series=tf.constant(given))["scores"].numpy()
    == after["serving_default"](series=tf.constant(given))["scores"].numpy()
)
assert same.all()
sorted(after)
