"""The page's code, run as it stands, in a process of its own: it registers a path."""

import re

from tests.cases import ROOT, run_python

_CHECKS = """
import json
from tfgig.serving import SessionModel
from tfgig.spec import from_config, to_config

assert explanation["ok"].numpy().all()
scale = np.abs(explanation["score"] - explanation["baseline_score"]).max()
print("delta", np.abs(explanation["delta"]).max() / scale)
assert np.abs(explanation["delta"]).max() < 0.01 * scale
straight = tfgig.Explainer(model, tfgig.PathIntegral(Uphill(pace=1.0), steps=200))(images)
line = tfgig.Explainer(model, tfgig.presets.get("ig"))(images)["attributions"].numpy()
assert np.abs(straight["attributions"] - line).max() < 0.01 * np.abs(line).max()
assert np.abs(explanation["attributions"] - line).max() > 0.1 * np.abs(line).max()
assert from_config(json.loads(json.dumps(to_config(uphill)))) == uphill

with SessionModel(directory) as served:
    for name in ("uphill", "uphill_idgi", "uphill_anchored"):
        found = served.run("explain_" + name, image=images, target=np.array([-1, -1]))
        assert found["ok"].all()
        assert np.abs(found["delta"]).max() < 0.01 * scale, name
        alone = served.run("explain_" + name, image=images[1:], target=np.array([-1]))
        gap = np.abs(alone["attributions"][0] - found["attributions"][1]).max()
        assert gap < 1e-4 * np.abs(found["attributions"]).max()
        if name == "uphill":
            expected = explanation["attributions"].numpy()
            assert np.abs(found["attributions"] - expected).max() < 1e-4 * np.abs(expected).max()
"""


def test_the_worked_example_runs_and_is_exported(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    script = tmp_path / "page.py"
    code = "\n".join([f"import os\nos.chdir({str(tmp_path)!r})", *blocks, _CHECKS])
    script.write_text(code)
    print(run_python(script).stdout)
