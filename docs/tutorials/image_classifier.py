# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # An image classifier of your own
#
# Train a small network, explain it in Python, export it with its explanations, and call the exported
# signatures as TensorFlow Serving would.
#
#     pip install 'tfgig[pictures]'
#
# The images are scenes whose classes are shapes: ring, star, cross and others. Each is laid over a
# photograph, beside distractors, so that a right answer for a wrong reason is possible.

# %%
import tempfile

import keras
import numpy as np
import tensorflow as tf
from IPython.display import Image, display

import tfgig
from tfgig import scenes

keras.utils.set_random_seed(1)
train = scenes.compose(512, seed=0, split="train")
test = scenes.compose(3, seed=0, split="test")
train.images.shape, train.images.min(), train.images.max(), scenes.CLASSES

# %% [markdown]
# ## Train
#
# The `Rescaling` layer tells tfgig the range of the input: 0 is black and 255 is white. Without it,
# name the range: `tfgig.load_model(model, value_range=(0, 255))`.

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
# Ten epochs on 512 scenes are too few for a good model. That makes it worth looking at.
#
# ## Explain
#
# An `Explainer` is a Keras layer. It explains the top class unless you name a `target`.

# %%
images = test.images
explanation = tfgig.Explainer(model, "ig")(images)
tfgig.plot(explanation, class_names=scenes.CLASSES)

# %% [markdown]
# Look at the caption before the picture. `score` minus the baseline's score is what the attributions
# add up to; `delta` is what is missing from that sum. `error` estimates how far the map is from that of
# an exact integral.

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
# A dictionary of explanations of the same images is drawn side by side.

# %%
methods = ("ig", "guided_ig_idgi", "block_ig")
tfgig.plot(
    {name: tfgig.Explainer(model, name)(images[:1]) for name in methods},
    class_names=scenes.CLASSES,
)

# %% [markdown]
# ## Ask for another class
#
# Why this class and not that one? `Contrast` explains the difference of two scores.

# %%
order = np.argsort(model.predict(images[:1], verbose=0)[0])
first, second = int(order[-1]), int(order[-2])
contrast = tfgig.targets.Contrast(first, second)
print(scenes.CLASSES[first], "against", scenes.CLASSES[second])
tfgig.plot(tfgig.Explainer(model, "guided_ig_idgi", target=contrast)(images[:1]))

# %% [markdown]
# ## Export and call
#
# The export is a SavedModel. `serving_default` answers exactly as the model does; the other signatures
# explain.

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
# Put the folder behind TensorFlow Serving, or behind `tfgig-serve --model_base_path=...` on your own
# machine: [serving](serving.py) shows how.
