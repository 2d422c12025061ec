# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # A text classifier
#
# Token ids have no gradient, so a text model is explained at its embedding. The model splits strings and
# looks up tokens itself, so the exported signatures can return each token with its number.

# %%
import tempfile

import keras
import numpy as np
import tensorflow as tf

import tfgig

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
good, bad = ("lovely", "superb", "warm", "clever"), ("dull", "clumsy", "tedious", "weak")
plain = ("the", "film", "was", "a", "story", "with", "actors", "and", "music")


def review(words):
    text = [str(random.choice(plain)) for _ in range(7)]
    for word in random.choice(words, 2):
        text.insert(int(random.integers(len(text))), str(word))
    return " ".join(text)


labels = random.integers(0, 2, 512)
texts = [review(good if label else bad) for label in labels]
texts[:2], labels[:2]

# %% [markdown]
# ## Train
#
# `TextVectorization` splits the text inside the model, so the served model takes plain strings.

# %%
split = keras.layers.TextVectorization(output_sequence_length=12, name="split")
split.adapt(texts)
text = keras.Input((), dtype="string", name="text")
ids = split(text)
hidden = keras.layers.Embedding(split.vocabulary_size(), 16, name="embedding")(ids)
hidden = keras.layers.Conv1D(16, 2, padding="same", activation="tanh")(hidden)
hidden = keras.layers.GlobalAveragePooling1D()(hidden)
model = keras.Model(text, keras.layers.Dense(2, activation="softmax", name="scores")(hidden))
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(tf.constant(texts), labels, epochs=8, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.2f}")

# %% [markdown]
# ## Explain

# %%
rows = tf.constant(
    ["a superb film and a warm story with lovely actors", "the music was clever and the story dull"]
)
explainer = tfgig.Explainer(model, "ig", layer="embedding")
explanation = explainer(rows)
tfgig.plot(explanation, class_names=("bad", "good"))

# %% [markdown]
# The attributions have the shape of the embedding, `[B, positions, width]`. Sum over the width to get one
# number per token.

# %%
np.round(tf.reduce_sum(explanation["attributions"], -1), 3)

# %% [markdown]
# ## Export
#
# `tokens_ig` returns one number per position and `token_text`, the tokens as split by the graph. Clients
# need no tokenizer.

# %%
source = tfgig.load_model(model, layer="embedding")
version = tfgig.export_saved_model(source, tempfile.mkdtemp() + "/reviews", methods=["ig"])
served = tf.saved_model.load(str(version))
answer = served.signatures["tokens_ig"](text=rows, target=tf.constant([-1, -1], tf.int64))
for words, numbers in zip(answer["token_text"].numpy(), answer["tokens"].numpy(), strict=True):
    print({word.decode(): round(float(n), 3) for word, n in zip(words, numbers, strict=True)})
