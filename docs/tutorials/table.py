# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # A table with categories
#
# One explanation covers every column of a table model, categories and numbers, with one `delta`.
# Categories are explained at their embeddings.

# %%
import json
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

import tfgig

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
CITIES = ("Basel", "Lugano", "Zurich")
rows = 1024
city = random.choice(CITIES, (rows, 1))
job = random.integers(0, 4, (rows, 1))
numbers = random.normal(size=(rows, 3)).astype("float32")
rent = (city[:, 0] == "Zurich") * 1.5 + numbers[:, 0] - 0.5 * (job[:, 0] == 2)
labels = (rent > 0.5).astype("int64")

# %%
inputs = {
    "city": keras.Input((1,), dtype="string", name="city"),
    "job": keras.Input((1,), dtype="int64", name="job"),
    "numbers": keras.Input((3,), name="numbers"),
}
found = keras.layers.StringLookup(vocabulary=CITIES, name="lookup")(inputs["city"])
columns = [
    keras.layers.Flatten()(keras.layers.Embedding(4, 4, name="city_emb")(found)),
    keras.layers.Flatten()(keras.layers.Embedding(4, 3, name="job_emb")(inputs["job"])),
    inputs["numbers"],
]
hidden = keras.layers.Dense(16, activation="tanh")(keras.layers.Concatenate()(columns))
model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="scores")(hidden))
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
given = {"city": tf.constant(city), "job": job, "numbers": numbers}
history = model.fit(given, labels, epochs=6, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.2f}")

# %% [markdown]
# ## Explain every column

# %%
some = {name: tf.constant(value[:2]) for name, value in given.items()}
explanation = tfgig.Explainer(model, "ig")(some, target=1)
print([name for name in explanation if name.startswith("attributions")])
tfgig.plot(
    explanation,
    feature_names=("city", "job", "rooms", "age", "floor"),
    class_names=("cheap", "dear"),
    rows=[0],
)

# %% [markdown]
# ## One number per column
#
# `features_ig` sums over each embedding, so that each column has one number. `columns` in the export's
# description lists the column names in order.

# %%
version = tfgig.export_saved_model(model, tempfile.mkdtemp() + "/rent", methods=["ig"])
description = json.loads((pathlib.Path(version) / "assets.extra" / "tfgig.json").read_text())
names = description["endpoints"]["features_ig"]["columns"]
served = tf.saved_model.load(str(version))
answer = served.signatures["features_ig"](**some, target=tf.constant([1, 1], tf.int64))
for row in answer["features"].numpy():
    print({name: round(float(value), 3) for name, value in zip(names, row, strict=True)})

# %% [markdown]
# ## Choose a baseline
#
# The default baseline is zero, which is no city at all. To explain the difference from the data's
# average, build a baseline from rows:

# %%
mean = tfgig.baselines.DatasetStatistic.of(numbers, statistic="mean")
at_numbers = tfgig.load_model(model, layer="numbers")
average = tfgig.PathIntegral(tfgig.paths.Straight(mean), steps=50)
answer = tfgig.Explainer(at_numbers, average)(some, target=1)
answer["attributions"].numpy().round(3), answer["delta"].numpy().round(4)
