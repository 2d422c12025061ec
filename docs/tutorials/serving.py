# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # Serve it
#
# An exported model is a SavedModel like any other. This page serves one on your machine with tfgig's
# development server, asks it over REST and gRPC, and shows the commands for TensorFlow Serving in Docker.
#
#     pip install 'tfgig[pictures,serving]'

# %%
import base64
import pathlib
import tempfile
from importlib import resources

import numpy as np
import requests
from IPython.display import Image, display

import tfgig
from tfgig import scenes
from tfgig.serving import Client, LocalServer, ServerOptions

base = pathlib.Path(tempfile.mkdtemp()) / "shapes"
with resources.as_file(resources.files("tfgig_saved_models") / "shapes" / "model.keras") as file:
    version = tfgig.export_saved_model(str(file), str(base), methods=["ig", "block_ig"])
version.name, sorted(path.name for path in version.iterdir())

# %% [markdown]
# ## On your machine
#
# In a terminal, `tfgig-serve --model_base_path=...`; here, the same server in Python, on free ports.

# %%
server = LocalServer(base, ServerOptions(port=0, rest_port=0)).start()
url = f"{server.rest_address}/v1/models/shapes"
requests.get(url, timeout=30).json()["model_version_status"][0]["state"]

# %% [markdown]
# ## REST: predict, then ask why
#
# The picture is a PNG, base64 encoded. What a client sends here, it sends to TensorFlow Serving too.

# %%
image = scenes.compose(1, seed=1, split="test").images[0]
rows = image.astype(int).tolist()
predicted = requests.post(f"{url}:predict", json={"instances": [rows]}, timeout=60).json()
print(scenes.CLASSES[int(np.argmax(predicted["predictions"][0]))])

request = {"signature_name": "heatmap_block_ig", "instances": [rows]}
answer = requests.post(f"{url}:predict", json=request, timeout=60).json()["predictions"][0]
print({name: answer[name] for name in ("score", "delta", "error", "ok")})
display(Image(base64.b64decode(answer["heatmap_bytes"]["b64"]), width=240))

# %% [markdown]
# ## gRPC: the client
#
# `tfgig.serving.Client` talks to both servers, splits large batches and retries what is transient.

# %%
with Client(server.grpc_address, model="shapes") as client:
    explanation = client.explain(image[np.newaxis].astype("float32"), method="ig")
tfgig.plot(explanation, image[np.newaxis].astype("float32"), class_names=scenes.CLASSES)

# %%
server.stop()

# %% [markdown]
# ## TensorFlow Serving in Docker
#
# `tfgig-config` writes the files that run the official image, with limits and a read-only root:
#
#     tfgig-config --model_base_path=/models/shapes --output=serving
#     docker compose --project-directory serving up
#
# and `tfgig-inspect --check` says beforehand what the server would stumble over:
#
#     tfgig-inspect --check /models/shapes/1
#
# [Serving](../serving.md) has sizes, lanes, batching, KServe, and a table for those who come from Vertex
# Explainable AI.
