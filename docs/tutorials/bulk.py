# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # Many rows
#
# An export answers one request at a time. `tfgig-bulk` puts a whole file through the same signatures, on
# all cores or on Spark, so every row has the answer that serving gives. Here: a table of a thousand
# customers. It needs `pip install 'tfgig[bulk]'`.

# %%
import json
import pathlib
import tempfile

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tfgig

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
COLUMNS = ("age", "income", "debts", "years")
numbers = random.normal(size=(1000, 4)).astype("float32")
good = (numbers[:, 1] - numbers[:, 2] > 0).astype("int64")

model = keras.Sequential(
    [
        keras.Input((4,), name="numbers"),
        keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dense(2, activation="softmax", name="scores"),
    ]
)
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
model.fit(numbers, good, epochs=5, verbose=0)

# %%
folder = pathlib.Path(tempfile.mkdtemp())
tfgig.export_saved_model(model, folder / "credit", methods=["ig"])
table = {name: numbers[:, i] for i, name in enumerate(COLUMNS)}
table["customer"] = [f"c{i:04d}" for i in range(1000)]
pq.write_table(pa.table(table), folder / "customers.parquet")

# %% [markdown]
# ## Explain the file
#
# `--columns` lays the four columns side by side as the model's one input, and `--id` names the rows. If
# the job is killed, the same command with `--resume` does what is left.

# %%
# !tfgig-bulk --model={folder}/credit --input={folder}/customers.parquet --output={folder}/out --id=customer --columns='{{"numbers": ["age", "income", "debts", "years"]}}' --workers=0

# %%
print((folder / "out" / "summary.json").read_text())

# %% [markdown]
# One row of the answer: what was explained, how well, and a number for each column.

# %%
answers = pq.read_table(folder / "out" / "explanations").to_pylist()
row = answers[0]
print({name: row[name] for name in ("id", "target", "score", "baseline_score", "delta", "ok")})
print(dict(zip(COLUMNS, row["attributions"], strict=True)))

# %% [markdown]
# Attributions of all rows are in the unit of the score, so they may be added and averaged.

# %%
every = np.array([row["attributions"] for row in answers])
strongest = np.abs(every).mean(0)
print(dict(zip(COLUMNS, strongest.round(3).tolist(), strict=True)))

# %% [markdown]
# ## Sum it up
#
# By class, with intervals, as a page and a picture (`--json` names the files for a script):

# %%
# !tfgig-bulk summarize {folder}/out --json

# %%
print(json.loads((folder / "out" / "summary.json").read_text())["rows"])
sorted(path.name for path in (folder / "out").glob("summary*"))

# %% [markdown]
# Images, texts and records go the same way, and `--master=local[*]`, or a cluster's address, has Spark do
# it; see [bulk](../bulk.md).
