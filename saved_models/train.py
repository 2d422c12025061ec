r"""Trains the demonstration's models, classifiers of the shapes in `tfgig.demonstration.scenes`.

It composes the training scenes, trains a small convolutional network on them, measures it on
scenes whose photographs it has never seen, and saves it, without the state of the optimizer, as a
Keras file. With the defaults this takes less than ten minutes on two CPU cores. There are three
networks: `shapes`, a plain chain of convolutions, `shapes_residual`, whose blocks add to what they
are given, and `shapes_transformer`, a small vision transformer, which takes longer and is not
shipped.

To make a shipped model again (the scenes will be the same; the weights, and the accuracy in its
last digit, may differ, since several threads do not always add up numbers in the same order):

  python saved_models/train.py --model=shapes

To try a change quickly, elsewhere, then to see how each class fares:

  python saved_models/train.py --model=shapes --scenes=1000 --epochs=3 --output=/tmp/model.keras

Needs Keras, Pillow and scikit-image: pip install 'tfgig[pictures]'. What is shipped is saved by the
oldest Keras that pyproject.toml allows, as older ones do not read what newer ones write.
"""

import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Run as a script, this finds the package of its own checkout, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from tfgig.demonstration import scenes

_MODEL = flags.DEFINE_enum(
    "model",
    None,
    ["shapes", "shapes_residual", "shapes_transformer"],
    "Which network to train.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Where to save the model; its name ends in .keras. What is there is replaced. "
    "(default: model.keras in the folder of the shipped model; shapes_transformer needs one)",
)
_SCENES = flags.DEFINE_integer(
    "scenes",
    10_000,
    "How many scenes to train on. Each takes about 10 ms to compose and 27 kB of memory.",
    lower_bound=64,
)
_TEST_SCENES = flags.DEFINE_integer(
    "test_scenes", 1000, "How many scenes to measure the accuracy on, at the end.", lower_bound=8
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 16, "How many times to go through the training scenes.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the scenes, of the initial weights and of their order.", lower_bound=0
)
_THREADS = flags.DEFINE_integer("threads", 2, "How many CPU threads to use.", lower_bound=1)

_BATCH = 64


def plain() -> keras.Model:
    """Returns the untrained chain: RGB images 0..255, [n, 96, 96, 3], to probabilities."""
    image, values = _pixels()
    widths = (8, 16, 40, 64, 80)
    for index, width in enumerate(widths, start=1):
        values = _convolution(values, width, f"convolution_{index}")
        if index < len(widths):  # Before the other two layers, to spare them work.
            values = keras.layers.MaxPooling2D(name=f"pooling_{index}")(values)
        values = keras.layers.ReLU(name=f"relu_{index}")(_normalization(values, str(index)))
    return _classifier(image, values, "shapes")


def residual() -> keras.Model:
    """Returns the untrained network of residual blocks: images as above, to probabilities."""
    image, values = _pixels()
    values = _convolution(values, 16, "stem", strides=2, size=5)
    values = keras.layers.ReLU(name="stem_relu")(_normalization(values, "stem"))
    for index, (width, strides) in enumerate(((24, 2), (40, 2), (40, 1), (64, 2)), start=1):
        shortcut = values
        if strides > 1:
            shortcut = _convolution(values, width, f"shortcut_{index}", strides=strides, size=1)
            shortcut = _normalization(shortcut, f"shortcut_{index}")
        values = _convolution(values, width, f"block_{index}_first", strides=strides)
        values = _normalization(values, f"block_{index}_first")
        values = keras.layers.ReLU(name=f"block_{index}_middle_relu")(values)
        values = _convolution(values, width, f"block_{index}_second")
        values = _normalization(values, f"block_{index}_second")
        values = keras.layers.Add(name=f"block_{index}_sum")([shortcut, values])
        values = keras.layers.ReLU(name=f"block_{index}_relu")(values)
    return _classifier(image, values, "shapes_residual")


def transformer() -> keras.Model:
    """Returns the untrained vision transformer: images as above, to probabilities.

    12 x 12 tokens of width 64 from a stem of convolutions, whose padding tells them their positions
    (Xiao et al., "Early Convolutions Help Transformers See Better", 2021), then four blocks
    normalised in front (Dosovitskiy et al., 2021, equations 2 and 3).
    """
    image, values = _pixels()
    for index, width in enumerate((24, 48, 64), start=1):
        values = _convolution(values, width, f"stem_{index}", strides=2)
        values = keras.layers.ReLU(name=f"stem_{index}_relu")(
            _normalization(values, f"stem_{index}")
        )
    values = keras.layers.Reshape((-1, 64), name="tokens")(values)
    for index in range(1, 5):
        normal = keras.layers.LayerNormalization(name=f"block_{index}_first_norm")(values)
        mixed = keras.layers.MultiHeadAttention(4, 16, name=f"block_{index}_attention")
        values = keras.layers.Add(name=f"block_{index}_sum")([values, mixed(normal, normal)])
        normal = keras.layers.LayerNormalization(name=f"block_{index}_second_norm")(values)
        hidden = keras.layers.Dense(128, activation="gelu", name=f"block_{index}_hidden")(normal)
        hidden = keras.layers.Dense(64, name=f"block_{index}_output")(hidden)
        values = keras.layers.Add(name=f"block_{index}")([values, hidden])
    values = keras.layers.LayerNormalization(name="norm")(values)
    values = keras.layers.GlobalAveragePooling1D(name="features")(values)
    return _scores(image, values, "shapes_transformer")


class _Recipe(NamedTuple):
    """A network, and the learning rate that it is trained at."""

    build: Callable[[], keras.Model]
    rate: float = 4e-3


_RECIPES = {
    "shapes": _Recipe(plain),
    "shapes_residual": _Recipe(residual),
    "shapes_transformer": _Recipe(transformer, rate=1e-3),
}


def _pixels() -> tuple:
    """Returns the input, and its pixels scaled to -1..1."""
    image = keras.Input((scenes.SIZE, scenes.SIZE, 3), name="image")
    return image, keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(image)


def _convolution(values, width: int, name: str, *, strides: int = 1, size: int = 3):
    return keras.layers.Conv2D(
        width, size, strides=strides, padding="same", use_bias=False, name=name
    )(values)


def _normalization(values, name: str):
    return keras.layers.BatchNormalization(momentum=0.95, name=f"normalization_{name}")(values)


def _classifier(image, values, name: str) -> keras.Model:
    values = keras.layers.GlobalAveragePooling2D(name="features")(values)
    return _scores(image, values, name)


def _scores(image, values, name: str) -> keras.Model:
    logits = keras.layers.Dense(len(scenes.CLASSES), name="logits")(values)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(image, probabilities, name=name)


class _Batches(keras.utils.PyDataset):
    """Shuffled batches of scenes, flipped, turned and with their colours exchanged at random.

    None of these changes what a shape is called, and exchanged colours make up for the few
    photographs that there are.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int):
        super().__init__()
        self._images, self._labels = images, labels
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(labels))

    def __len__(self) -> int:
        return len(self._labels) // _BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * _BATCH : (index + 1) * _BATCH]
        images = self._images[chosen]
        if self._random.random() < 0.5:
            images = images.transpose(0, 2, 1, 3)
        flip_down, flip_right = self._random.choice((-1, 1), size=2)
        colours = self._random.permutation(3)
        images = images[:, ::flip_down, ::flip_right][..., colours]
        brightness = self._random.uniform(0.8, 1.1, size=(len(images), 1, 1, 1))
        images = np.minimum(images * brightness.astype(np.float32), 255)
        return images, self._labels[chosen]

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self._labels))


def train(
    recipe: _Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    seed: int,
) -> keras.Model:
    """Returns a trained model, not compiled, hence saved without the optimizer's state."""
    keras.utils.set_random_seed(seed)
    model = recipe.build()
    batches = _Batches(images, labels, seed)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=recipe.rate, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,  # Slower with it, on a CPU.
    )
    model.fit(batches, epochs=epochs, verbose=2, shuffle=False)
    trained = recipe.build()
    trained.set_weights(model.get_weights())
    return trained


def accuracies(model: keras.Model, test: scenes.Scenes) -> Iterator[tuple[str, int, int]]:
    """Yields the name of each class, how many scenes have it and how many are recognised."""
    probabilities = model.predict(test.images.astype(np.float32), batch_size=100, verbose=0)
    right = probabilities.argmax(axis=-1) == test.labels
    for label, name in enumerate(scenes.CLASSES):
        of_class = right[test.labels == label]
        yield name, len(of_class), int(of_class.sum())


def main(arguments: list[str]) -> None:
    """Composes, trains, measures and saves."""
    if len(arguments) > 1:
        raise app.UsageError(f"Use flags only. Received: {arguments[1:]}")
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    folder = pathlib.Path(__file__).resolve().parent / _MODEL.value
    output = pathlib.Path(_OUTPUT.value or folder / "model.keras")
    if output.suffix != ".keras" or not output.parent.is_dir():
        raise app.UsageError(
            "--output must end in .keras and lie in a folder that exists. "
            f"Received: --output={output}"
        )
    start = time.monotonic()
    print(f"Composing {_SCENES.value} scenes to train on ...", flush=True)
    images, _, labels = scenes.compose(_SCENES.value, seed=_SEED.value, split="train")
    print(f"Training, after {time.monotonic() - start:.0f} s ...", flush=True)
    model = train(_RECIPES[_MODEL.value], images, labels, epochs=_EPOCHS.value, seed=_SEED.value)
    minutes = (time.monotonic() - start) / 60
    model.save(output)
    test = scenes.compose(_TEST_SCENES.value, seed=_SEED.value, split="test")
    results = list(accuracies(model, test))
    for name, count, right in results:
        print(f"{name:>10}: {right / max(count, 1):6.1%} of {count}")
    total = sum(right for _, _, right in results)
    print(f"{'all':>10}: {total / len(test.labels):6.1%} of {len(test.labels)}")
    print(
        f"Took {minutes:.1f} minutes. Saved {model.count_params()} parameters, "
        f"{output.stat().st_size / 1000:.0f} kB: {output}"
    )


if __name__ == "__main__":
    app.run(main)
