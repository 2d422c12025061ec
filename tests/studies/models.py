"""Small random models of the kinds that people own, each explained by tfgig and apart from it.

python -m tests.studies.models           # writes the table of docs/models.md, in minutes
python -m tests.studies.models ViT BERT  # prints the rows of the models with these words

A model whose package is not installed keeps the row that it has.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import tfgig
from tests.cases import ROOT, deviation
from tfgig.serving import SessionModel
from tfgig.targets import ClassScore, RegionScore, Target

PAGE = ROOT / "docs" / "models.md"
HEADER = (
    "| model | from | explained at | difference | served | `delta` over the change |\n"
    "|---|---|---|---|---|---|\n"
)
STEPS = 32
ROWS = 2
SIZE = 32  # pixels
LENGTH = 12  # tokens
WORDS = 50
CLASSES = 3


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model, what it is asked, and how it is explained without tfgig.

    Args:
        model: What `tfgig.load_model` takes.
        inputs: By name, [ROWS, ...] each.
        points: The explained tensor [ROWS, ...].
        scores: Points [ROWS, ...] to the scores [ROWS, classes] that are explained.
        layer: Where it is explained; None for its inputs.
        shape: Of one example, where the model leaves it open.
        target: What is explained; of a target without classes, `scores` has one column.
    """

    model: Any
    inputs: dict[str, np.ndarray]
    points: tf.Tensor
    scores: Callable[[tf.Tensor], tf.Tensor]
    layer: str | None = None
    shape: tuple[int, ...] | None = None
    target: Target = ClassScore()


class Tried(NamedTuple):
    """One row of the table: its build takes a directory to save to."""

    name: str
    package: str
    place: str
    build: Callable[[pathlib.Path], Subject]

    @property
    def version(self) -> str | None:
        """Of the installed package; None if there is none."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


class Found(NamedTuple):
    """What came of it, each over the largest attribution or over the change of the score.

    Args:
        difference: Of the attributions from integrated gradients computed apart.
        served: Of the attributions of the export, in a session, from the live ones.
        delta: The gap of the attributions' sum.
    """

    difference: float
    served: float
    delta: float


def tried(case: Tried) -> Found:
    """Loads a model, explains it, exports it and asks the export."""
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as directory:
        subject = case.build(pathlib.Path(directory) / "model")
        source = tfgig.load_model(subject.model, layer=subject.layer, shape=subject.shape)
        method = tfgig.PathIntegral(steps=STEPS)
        live = tfgig.Explainer(source, method, subject.target)(subject.inputs)
        apart = integrated_gradients(subject)
        export = tfgig.export_saved_model(
            source, pathlib.Path(directory) / "export", {"ig": method}, subject.target, warmup=()
        )
        with SessionModel(export) as session:
            served = session.run("explain_ig", **_asked(session, subject))
    change = np.abs(live["score"] - live["baseline_score"])
    return Found(
        deviation(live["attributions"], apart),
        deviation(served["attributions"], live["attributions"]),
        float(np.max(np.abs(live["delta"]) / change)),
    )


def integrated_gradients(subject: Subject) -> np.ndarray:
    """By their definition, from zeros, at midpoints: [ROWS, ...]."""
    top = tf.argmax(subject.scores(subject.points), 1)
    total = tf.zeros_like(subject.points)
    for step in range(STEPS):
        at = subject.points * ((step + 0.5) / STEPS)
        with tf.GradientTape() as tape:
            tape.watch(at)
            score = tf.gather(subject.scores(at), top, axis=1, batch_dims=1)
        total += tape.gradient(score, at)
    return (subject.points * total / STEPS).numpy()


def _asked(session: SessionModel, subject: Subject) -> dict[str, np.ndarray]:
    takes_target = "target" in session.signatures["explain_ig"].inputs
    return subject.inputs | ({"target": np.full(ROWS, -1)} if takes_target else {})


# What is asked


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (ROWS, SIZE, SIZE, 3)).astype(np.float32)


def tokens() -> tuple[np.ndarray, np.ndarray]:
    """Ids and the mask of those that are there, int32 [ROWS, LENGTH] both."""
    ids = np.random.default_rng(0).integers(1, WORDS, (ROWS, LENGTH)).astype(np.int32)
    mask = np.ones_like(ids)
    ids[1, 8:], mask[1, 8:] = 0, 0
    return ids, mask


def stirred(model: Any) -> Any:
    """The model with scales and offsets that are not all alike, as in one that was trained.

    Offsets of 0 all through would make a transformer's score jump beside a baseline of 0, for the
    first normalisation then sees a multiple of what is explained.
    """
    random = np.random.default_rng(1)
    for weight in model.trainable_weights:
        if len(weight.shape) == 1:
            weight.assign_add(random.normal(0, 0.1, weight.shape).astype(np.float32))
    return model


def _layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """All layers, however deep."""
    for inner in getattr(layer, "_layers", ()):
        yield from (inner, *_layers(inner))


# Models of Keras: applications and Keras Hub


def application(name: str, path: pathlib.Path) -> Subject:
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES
    )
    return of_pixels(model)


def of_pixels(model: keras.Model, **options: Any) -> Subject:
    stirred(model)
    (name,) = (tensor.name for tensor in model.inputs)
    scores = functools.partial(model, training=False)  # Keras Hub's DeepLabV3 would train
    return Subject(model, {name: images()}, tf.constant(images()), scores, **options)


def hub_resnet(path: pathlib.Path) -> Subject:
    import keras_hub

    return of_pixels(keras_hub.models.ResNetImageClassifier(_resnet(), CLASSES))


def _resnet() -> keras.Model:
    import keras_hub

    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def hub_vit(path: pathlib.Path) -> Subject:
    import keras_hub

    backbone = keras_hub.models.ViTBackbone(
        image_shape=(SIZE, SIZE, 3),
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )
    return of_pixels(keras_hub.models.ViTImageClassifier(backbone, CLASSES))


def hub_segmenter(path: pathlib.Path) -> Subject:
    import keras_hub

    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=_resnet(),
        spatial_pyramid_pooling_key="P2",
        dilation_rates=[6, 12],
        upsampling_size=4,
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(backbone, CLASSES)
    region = RegionScore(region=((8, 24), (8, 24)))

    def scores(points):
        return tf.reduce_sum(model(points, training=False)[:, 8:24, 8:24], [1, 2])

    subject = of_pixels(model, target=region, shape=(SIZE, SIZE, 3))
    return dataclasses.replace(subject, scores=scores)


def hub_text(kind: str, options: dict[str, int], path: pathlib.Path) -> Subject:
    import keras_hub

    backbone = getattr(keras_hub.models, f"{kind}Backbone")(
        vocabulary_size=WORDS,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=LENGTH,
    )
    model = getattr(keras_hub.models, f"{kind}TextClassifier")(backbone, CLASSES, **options)
    stirred(model)
    ids, mask = tokens()
    given = {"token_ids": ids, "padding_mask": mask, "segment_ids": np.zeros_like(ids)}
    inputs = {tensor.name: given[tensor.name] for tensor in model.inputs}
    embedding = next(layer for layer in _layers(model) if layer.name == "token_embedding")
    looked_up = embedding(ids)

    def scores(points):
        embedding.call = lambda *_, **__: points
        try:
            return model(inputs, training=False)
        finally:
            del embedding.call

    return Subject(model, inputs, looked_up, scores, "token_embedding")


# Models of Hugging Face


def hf_text(place: str, path: pathlib.Path) -> Subject:
    import transformers

    config = transformers.BertConfig(
        vocab_size=WORDS,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
        num_labels=CLASSES,
        initializer_range=0.3,
    )
    model = transformers.TFBertForSequenceClassification(config)
    ids, mask = tokens()
    model(input_ids=ids, attention_mask=mask)
    stirred(model)

    def serve(input_ids, attention_mask):
        found = model(input_ids=input_ids, attention_mask=attention_mask, training=False)
        return {"scores": tf.nn.softmax(found.logits)}

    specs = [tf.TensorSpec([None, LENGTH], tf.int32, name) for name in _HF_INPUTS]
    saved(model, serve, specs, path)
    inputs = dict(zip(_HF_INPUTS, (ids, mask), strict=True))
    embeddings = model.bert.embeddings
    if place == "embeddings":
        points = embeddings(input_ids=ids)

        def scores(points):
            embeddings.call = lambda *_, **__: points
            try:
                return serve(ids, mask)["scores"]
            finally:
                del embeddings.call
    else:
        points = tf.gather(embeddings.weight, ids)

        def scores(points):
            found = model(None, inputs_embeds=points, attention_mask=mask, training=False)
            return tf.nn.softmax(found.logits)

    return Subject(path, inputs, points, scores, place)


_HF_INPUTS = ("input_ids", "attention_mask")
_HF_TABLE = "tf_bert_for_sequence_classification/bert/embeddings/Gather"


def hf_vit(path: pathlib.Path) -> Subject:
    import transformers

    config = transformers.ViTConfig(
        image_size=SIZE,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=CLASSES,
        initializer_range=0.3,
    )
    model = transformers.TFViTForImageClassification(config)

    def serve(image):
        found = model(pixel_values=tf.transpose(image, [0, 3, 1, 2]), training=False)
        return {"scores": tf.nn.softmax(found.logits)}

    serve(images())
    stirred(model)
    saved(model, serve, [tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, "image")], path)
    points = tf.constant(images())
    return Subject(path, {"image": images()}, points, lambda at: serve(at)["scores"])


def saved(model: Any, serve: Callable, specs: list[tf.TensorSpec], path: pathlib.Path) -> None:
    """Writes a SavedModel as the page's recipe does."""
    serving = tf.Module()
    serving.model = model
    serving.serve = tf.function(serve, input_signature=specs)
    tf.saved_model.save(serving, str(path), signatures=serving.serve)


def _application(name: str) -> Tried:
    return Tried(name, "keras", "pixels", functools.partial(application, name))


def _hub_text(kind: str, **options: int) -> Tried:
    build = functools.partial(hub_text, kind, options)
    return Tried(f"{kind} classifier", "keras-hub", "`token_embedding`", build)


def _hf_text(place: str, words: str) -> Tried:
    return Tried("TFBert classifier", "transformers", words, functools.partial(hf_text, place))


MODELS = (
    *map(_application, ("ResNet50V2", "DenseNet121")),
    Tried("ResNet classifier", "keras-hub", "pixels", hub_resnet),
    Tried("ViT classifier", "keras-hub", "pixels", hub_vit),
    Tried("DeepLabV3 segmenter", "keras-hub", "pixels", hub_segmenter),
    _hub_text("Bert"),
    _hub_text("DistilBert", hidden_dim=16),
    _hub_text("Roberta", hidden_dim=16),
    _hf_text(_HF_TABLE, "`.../embeddings/Gather`"),
    _hf_text("embeddings", "`embeddings`"),
    Tried("TFViT classifier", "transformers", "pixels", hf_vit),
)


# The table


def row(case: Tried) -> str:
    """The row of a model."""
    figures = (f"{value:.0e}".replace("e-0", "e-") if value else "0" for value in tried(case))
    found = " | ".join(figures)
    return f"{_key(case)}{case.version} | {case.place} | {found} |\n"


def _key(case: Tried) -> str:
    return f"| {case.name} | {case.package} "


def main(words: list[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    if words:
        chosen = [case for case in MODELS if any(word in case.name for word in words)]
        print(HEADER + "".join(map(row, chosen)), end="")
        return
    kept = page.partition(HEADER)[2].splitlines(keepends=True)
    rows = []
    for case in MODELS:
        here = [line for line in kept if line.startswith(_key(case)) and case.place in line]
        rows += [row(case)] if case.version else here
        print(rows[-1], end="", flush=True)
    versions = f"TensorFlow {tf.__version__} and Keras {keras.__version__}"
    before = page.partition(HEADER)[0]
    before = re.sub(r"TensorFlow \S+ and Keras [\d.]+\d", versions, before)
    PAGE.write_text(before + HEADER + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
