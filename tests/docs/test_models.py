"""The request in docs/models.md is answered as the page says."""

import json
import re

import numpy as np
import requests

import tfgig
from tests.cases import ROOT
from tests.models.test_several import table_model
from tfgig.exported.description import read_description
from tfgig.serving import LocalServer, ServerOptions

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_request_for_a_table(tmp_path):
    (call,) = re.findall(r"^    (tfgig\.export_saved_model\(model, .*\))$", PAGE, re.MULTILINE)
    call = call.replace("/models/table", str(tmp_path / "table"))
    version = eval(call, {"tfgig": tfgig, "model": table_model()})
    (request,) = re.findall(r"curl -s http://localhost:8501(\S+) -d '(.*?)'", PAGE, re.DOTALL)
    path, body = request
    with LocalServer(tmp_path / "table", ServerOptions(port=0, rest_port=0)) as server:
        answer = requests.post(server.rest_address + path, data=body, timeout=60)
    assert answer.status_code == 200, answer.text
    (row,) = json.loads(answer.text)["predictions"]
    columns = read_description(version).endpoints["features_ig"].columns
    assert ", ".join(f"`{name}`" for name in columns) in PAGE.replace("\n", " ")
    assert len(row["features"]) == len(columns)
    assert row["ok"]
    gap = sum(row["features"]) - (row["score"] - row["baseline_score"])
    np.testing.assert_allclose(gap, row["delta"], atol=1e-5)
