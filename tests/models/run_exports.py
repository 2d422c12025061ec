"""Runs exports in a process that knows nothing else, as a server would.

python run_exports.py <features.npy> <results.npz> <name>=<version directory> ...

`results.npz` will hold `<name>/<signature>/<output>` for every signature that takes `features`.
"""

import sys

import numpy as np

from tfgig.serving import SessionModel


def run(features, results, *exports):
    inputs = {"features": np.load(features)}
    inputs["target"] = np.zeros(len(inputs["features"]), np.int64)
    found = {}
    for export in exports:
        name, _, directory = export.partition("=")
        with SessionModel(directory) as model:
            for signature, definition in model.signatures.items():
                if not set(definition.inputs) <= set(inputs):
                    continue
                given = {key: inputs[key] for key in definition.inputs}
                for output, value in model.run(signature, **given).items():
                    value = value.astype("S") if value.dtype == object else value
                    found[f"{name}/{signature}/{output}"] = value
    np.savez(results, **found)


if __name__ == "__main__":
    run(*sys.argv[1:])
