"""Runs every signature of an export over every batch, in a process that knows nothing else.

python run_signatures.py <version directory> <batches.npz> <results.npz>

`batches.npz` holds `<batch>/image` and `<batch>/target`; `results.npz` will hold
`<signature>/<batch>/<output>`, or `<signature>/<batch>/failure` where a call failed.
"""

import sys

import numpy as np
import tensorflow as tf

from tfgig.serving import SessionModel


def run(directory, batches, results):
    with np.load(batches) as file:
        arrays = dict(file)
    found = {}
    with SessionModel(directory) as model:
        for signature, definition in model.signatures.items():
            for batch in sorted({key.split("/")[0] for key in arrays}):
                inputs = {name: arrays.get(f"{batch}/{name}") for name in definition.inputs}
                given = {name: value for name, value in inputs.items() if value is not None}
                try:
                    outputs = model.run(signature, **given)
                except tf.errors.OpError as error:
                    outputs = {"failure": np.array(error.message)}
                for output, value in outputs.items():
                    found[f"{signature}/{batch}/{output}"] = (
                        value.astype("S") if value.dtype == object else value
                    )
    np.savez(results, **found)


if __name__ == "__main__":
    run(*sys.argv[1:])
