# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # An image classifier
#
# Train a small network, explain it in Python, export it with its explanations, and call the exported
# signatures as TensorFlow Serving would.
#
#     pip install 'tfgig[pictures]'
#
# The images are generated scenes whose classes are shapes: ring, star, cross and others. Each shape lies
# on a photograph among distractors, so the model can be right for the wrong reason.

# %%
import tempfile

import keras
import numpy as np
import tensorflow as tf
from IPython.display import Image, display

import tfgig
from tfgig.demonstration import scenes

keras.utils.set_random_seed(1)
train = scenes.compose(512, seed=0, split="train")
test = scenes.compose(3, seed=0, split="test")
train.images.shape, train.images.min(), train.images.max(), scenes.CLASSES

# %% [markdown]
# ## Train
#
# tfgig reads the input range from the `Rescaling` layer: 0 is black and 255 is white. Without such a
# layer, pass the range: `tfgig.load_model(model, value_range=(0, 255))`.

# %%
model = keras.Sequential(
    [
        keras.Input((96, 96, 3), name="image"),
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu", name="block"),
        keras.layers.Conv2D(48, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(len(scenes.CLASSES), activation="softmax", name="scores"),
    ],
    name="shapes",
)
model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(train.images, train.labels, batch_size=32, epochs=10, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.2f}")

# %% [markdown]
# Ten epochs on 512 scenes are too few for a good model, so its mistakes are worth explaining.
#
# ## Explain
#
# An `Explainer` is a Keras layer. It explains the top class unless you pass a `target`.

# %%
images = test.images
explanation = tfgig.Explainer(model, "ig")(images)
tfgig.plot(explanation, class_names=scenes.CLASSES)

# %% [markdown]
# Check the caption before the picture. The attributions should sum to `score` minus the baseline score;
# `delta` is the difference. `error` estimates the relative integration error of the map.

# %%
total = tf.reduce_sum(explanation["attributions"], (1, 2, 3))
np.testing.assert_allclose(
    total - (explanation["score"] - explanation["baseline_score"]), explanation["delta"], atol=1e-5
)
for name in ("score", "baseline_score", "delta", "error"):
    print(f"{name:15}", np.round(explanation[name], 3))

# %% [markdown]
# ## Compare methods
#
# `tfgig.plot` draws a dictionary of explanations of the same images side by side.

# %%
methods = ("ig", "guided_ig_idgi", "block_ig")
tfgig.plot(
    {name: tfgig.Explainer(model, name)(images[:1]) for name in methods},
    class_names=scenes.CLASSES,
)

# %% [markdown]
# ## Compare two classes
#
# Why this class and not that one? `Contrast` explains the difference between two scores.

# %%
order = np.argsort(model.predict(images[:1], verbose=0)[0])
first, second = int(order[-1]), int(order[-2])
contrast = tfgig.targets.Contrast(first, second)
print(scenes.CLASSES[first], "against", scenes.CLASSES[second])
tfgig.plot(tfgig.Explainer(model, "guided_ig_idgi", target=contrast)(images[:1]))

# %% [markdown]
# ## Export and call
#
# The export is a SavedModel. `serving_default` returns exactly what the model returns; the other
# signatures explain it.

# %%
folder = tempfile.mkdtemp()
version = tfgig.export_saved_model(model, f"{folder}/shapes", methods=["ig", "block_ig"])
served = tf.saved_model.load(str(version))
for name, signature in sorted(served.signatures.items()):
    print(f"{name:18}", ", ".join(signature.structured_outputs))

# %%
answer = served.signatures["heatmap_block_ig"](image=tf.constant(images[:1], tf.float32))
display(Image(answer["heatmap_bytes"].numpy()[0], width=240))

# %% [markdown]
# Serve the folder with TensorFlow Serving, or with `tfgig-serve --model_base_path=...` on your own
# machine: [serving](serving.py) shows how.
