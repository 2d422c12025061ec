# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---
# %% [markdown]
# # Choosing a method
#
# Which method to export depends on your model and your data. This page measures a few methods on the
# model that ships with tfgig, for images whose evidence is known.
#
#     pip install 'tfgig[pictures]'

# %%
import dataclasses
import time

import numpy as np

import tfgig
from tfgig import demonstration, metrics

source = demonstration.load("shapes")
some = demonstration.scenes.compose(4, seed=3, split="test")
images = some.images.astype("float32")

# %% [markdown]
# ## Look
#
# `gradient` is the simplest method, `ig` the standard, `guided_ig_idgi` a good pixel map. `block_ig`
# explains the activations of an inner block: coarser, but better at finding objects.

# %%
names = ("gradient", "ig", "guided_ig_idgi", "block_ig")
explainers = {name: tfgig.Explainer(source, name) for name in names}
tfgig.plot(
    {name: explainer(images[:2]) for name, explainer in explainers.items()},
    class_names=demonstration.scenes.CLASSES,
)

# %% [markdown]
# ## Measure
#
# The table has three quality measures. **ROC-AUC**: does the map separate the object's pixels from the
# rest? 0.5 is chance. **Gap**: the share of the score change that the attributions miss. **Error**: the
# relative integration error of the map. A low gap does not imply a low error.

# %%
print(f"{'method':16}{'ROC-AUC':>9}{'gap':>9}{'error':>9}{'seconds':>9}")
for name, explainer in explainers.items():
    explainer(images)  # the first call traces the graph
    started = time.perf_counter()
    explanation = explainer(images)
    seconds = (time.perf_counter() - started) / len(images)
    saliency = metrics.pixel_saliency(
        np.asarray(explanation["attributions"]), None, explanation.subject.layout
    )
    auc = np.mean([metrics.roc_auc(s, m) for s, m in zip(saliency, some.masks, strict=True)])
    change = np.abs(explanation["score"] - explanation["baseline_score"])
    gap = np.mean(np.abs(explanation["delta"]) / np.maximum(change, 1e-6))
    gap = f"{gap:9.3f}" if tfgig.presets.get(name).complete else f"{'-':>9}"
    print(f"{name:16}{auc:9.3f}{gap}{np.mean(explanation['error']):9.3f}{seconds:9.3f}")

# %% [markdown]
# Four images are too few to rank methods. For intervals, curves and a report, evaluate your own images:
#
#     tfgig-evaluate --handle=flowers.keras --output=out --dataset=directory \
#         --directory.path=photos --methods=ig,guided_ig_idgi,block_ig --report=report.html
#
# ## Use only the steps you need
#
# A method is a frozen dataclass. Change its steps and watch `error`.

# %%
for steps in (8, 16, 32, 64):
    method = dataclasses.replace(tfgig.presets.get("ig"), steps=steps)
    print(steps, np.round(tfgig.Explainer(source, method)(images)["error"], 3))

# %% [markdown]
# `ig_converged` automates this: it adds steps to each row until that row's `error` is at most 0.1.

# %%
np.round(tfgig.Explainer(source, "ig_converged")(images)["error"], 3)
