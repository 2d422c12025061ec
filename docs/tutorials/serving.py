# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # Serving a model
#
# An exported model is a SavedModel like any other. This page serves one on your machine with tfgig's
# development server, calls it over REST and gRPC, and shows the commands for TensorFlow Serving in Docker.
#
#     pip install 'tfgig[pictures,serving]'

# %%
import base64
import pathlib
import tempfile

import numpy as np
import requests
from IPython.display import Image, display

import tfgig
from tfgig import demonstration
from tfgig.serving import Client, LocalServer, ServerOptions

base = pathlib.Path(tempfile.mkdtemp()) / "shapes"
version = tfgig.export_saved_model(demonstration.load("shapes"), base, methods=["ig", "block_ig"])
version.name, sorted(path.name for path in version.iterdir())

# %% [markdown]
# ## On your machine
#
# In a terminal, run `tfgig-serve --model_base_path=...`. This page runs the same server in Python, on
# free ports.

# %%
server = LocalServer(base, ServerOptions(port=0, rest_port=0)).start()
url = f"{server.rest_address}/v1/models/shapes"
requests.get(url, timeout=30).json()["model_version_status"][0]["state"]

# %% [markdown]
# ## REST: predict, then explain
#
# The heat-map is a base64-encoded PNG. TensorFlow Serving takes the same requests.

# %%
image = demonstration.scenes.compose(1, seed=1, split="test").images[0]
rows = image.astype(int).tolist()
predicted = requests.post(f"{url}:predict", json={"instances": [rows]}, timeout=60).json()
print(demonstration.scenes.CLASSES[int(np.argmax(predicted["predictions"][0]))])

request = {"signature_name": "heatmap_block_ig", "instances": [rows]}
answer = requests.post(f"{url}:predict", json=request, timeout=60).json()["predictions"][0]
print({name: answer[name] for name in ("score", "delta", "error", "ok")})
display(Image(base64.b64decode(answer["heatmap_bytes"]["b64"]), width=240))

# %% [markdown]
# ## gRPC: the client
#
# `tfgig.serving.Client` works with both servers, splits large batches and retries transient errors.

# %%
with Client(server.grpc_address, model="shapes") as client:
    explanation = client.explain(image[np.newaxis].astype("float32"), method="ig")
tfgig.plot(
    explanation, image[np.newaxis].astype("float32"), class_names=demonstration.scenes.CLASSES
)

# %%
server.stop()

# %% [markdown]
# ## TensorFlow Serving in Docker
#
# `tfgig-config` writes the files to run the official image, with resource limits and a read-only root:
#
#     tfgig-config --model_base_path=/models/shapes --output=serving
#     docker compose --project-directory serving up
#
# Check the export first; `tfgig-inspect --check` reports problems that the server would have with it:
#
#     tfgig-inspect --check /models/shapes/1
#
# [Serving](../serving.md) covers sizes, lanes, batching, KServe and migration from Vertex Explainable AI.
