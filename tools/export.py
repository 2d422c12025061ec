"""Exports a model as a SavedModel with signatures that explain its predictions.

  tfgig-export --handle=model.keras --output=/models/name
  tfgig-export --handle=model.keras --output=/models/name --methods=ig,blur_ig --ig.steps=100
  tfgig-export --handle=model.keras --output=/models/name --target.output=logits
  tfgig-export ... --target='{"kind": "target.contrast", "a": 3, "b": 7}'
  tfgig-export --handle=saved_model/ --output=/models/name --signature=classify
  tfgig-export --handle=text.keras --output=/models/name --layer=embedding
  tfgig-export --handle=table.keras --output=/models/name --layer=city_emb,job_emb,numbers
  tfgig-export --handle=model.keras --output=/models/name --decode_image --labels=labels.txt
  tfgig-export --handle=model.keras --output=/models/name --lane.at_once=2 --lane.waiting=8

The SavedModel holds the model's own serving_default, unchanged, and for each method a signature
explain_<method> and, for models of images, heatmap_<method>. TensorFlow Serving serves it as it is.

Every option of every method is a flag: --<method>.<option>. --helpfull lists them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from absl import flags
from tfgig_tools import command_line, model_flags, program

import tfgig
from tfgig import presets
from tfgig.export.endpoint import default_methods
from tfgig.exported.description import read_labels
from tfgig.models import taking_encoded_images
from tfgig.models.sources.load import located
from tfgig.serving import SessionModel

HANDLE = flags.DEFINE_string(
    "handle",
    None,
    "The model: a .keras or .h5 file, a SavedModel's directory or .tar.gz archive, or a TensorFlow "
    "Hub address.",
    required=True,
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The model's directory, as TensorFlow Serving's --model_base_path: the new version becomes a "
    "numbered directory in it.",
    required=True,
)
METHODS = flags.DEFINE_list(
    "methods",
    None,
    f"Which methods to add, of: {', '.join(presets.names())}. (default: ig, guided_ig and, for "
    "image models with a suitable layer, block_ig)",
)
VERSION = flags.DEFINE_integer(
    "version", None, "The version's number; by default the next free one."
)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace the version if it exists.")
LAYER = flags.DEFINE_list(
    "layer",
    None,
    "Explain the model at the output of this layer (in a SavedModel, also a name scope or an "
    "operation), or at this input; several, such as city_emb,numbers, are explained together. By "
    "default all inputs.",
)
DECODE_IMAGE = flags.DEFINE_boolean(
    "decode_image",
    False,
    "For image models: the explaining signatures accept JPEG, PNG or GIF files, decoded, resized "
    "and scaled in the graph. serving_default is unchanged; serving_image_bytes accepts files.",
)
LABELS = flags.DEFINE_string(
    "labels", None, "A text file with class names, one per line, to store in the export."
)
WARMUP = flags.DEFINE_list(
    "warmup",
    ["1"],
    "Batch sizes of the warm-up requests of each signature, which servers run when they load the "
    "version. An empty list (--warmup=) writes none.",
)
command_line.define_family_flag(
    "target",
    tfgig.targets.Target,
    "The target to explain: a kind (default: class_score), or its config as JSON.",
)
flags.adopt_module_key_flags(model_flags)
command_line.define_spec_flags("target", tfgig.targets.ClassScore(), __name__)
command_line.define_spec_flags("lane", tfgig.Lane(), __name__)
command_line.define_preset_flags()


TOPICS = {
    "The export": ("handle", "output", "methods", "version", "overwrite"),
    "What is explained": ("target", "target.*", "layer"),
    "Serving": ("decode_image", "labels", "warmup", "lane.*"),
    "The model": model_flags.NAMES,
    "General": ("program_version",),
}


def main(arguments: Sequence[str]) -> int:
    """Exports, loads the result as a server would, and says what is in it."""
    program.refuse_arguments(arguments)
    started = time.perf_counter()
    chosen = flags.FLAGS["target"].value or tfgig.targets.ClassScore()
    source = model_flags.load(HANDLE.value, LAYER.value)
    if DECODE_IMAGE.value:
        source = taking_encoded_images(source)
    if LABELS.value:
        source = source.with_labels(read_labels(LABELS.value))
    target = command_line.spec_from_flags("target", chosen)
    methods = METHODS.value or list(default_methods(source, target))
    print(f"Exporting {source.name} with {', '.join(methods)} ...", file=sys.stderr)
    directory = tfgig.export_saved_model(
        source,
        OUTPUT.value,
        command_line.methods_from_flags(methods),
        target,
        version=VERSION.value,
        overwrite=OVERWRITE.value,
        warmup=command_line.numbers(WARMUP, int, "whole numbers, such as 1,8"),
        lane=command_line.spec_from_flags("lane", tfgig.Lane()),
    )
    with located(directory) as place, SessionModel(place.directory) as model:
        width = max(map(len, model.signatures))
        for name, signature in sorted(model.signatures.items()):
            inputs, outputs = ", ".join(signature.inputs), ", ".join(sorted(signature.outputs))
            print(f"  {name:{width}}  ({inputs}) -> {outputs}")
    print(f"Wrote {directory} in {time.perf_counter() - started:.0f} s.")
    if source.takes_images:
        print(f"Try it: tfgig-explain --model={OUTPUT.value} --images='*.jpg'")
    print(f"Serve it: tfgig-serve --model_base_path={OUTPUT.value}")
    return 0


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
