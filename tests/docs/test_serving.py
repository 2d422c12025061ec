"""The commands of docs/serving.md are run as they stand, but for addresses and directories."""

import json
import re
import shlex
import subprocess
import textwrap

import numpy as np
import pytest

import tfgig
from tests.cases import ROOT
from tests.models.test_several import table_model
from tests.serving.conftest import options
from tests.serving.test_tools import program
from tfgig.exported.description import read_description
from tfgig.serving import LocalServer
from tfgig.spec import replace_all

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
ADDRESS = "http://localhost:8501"
GUIDED = replace_all(tfgig.presets.get("guided_ig"), {"steps": 4})


def commands(start):
    """The commands of the page's indented blocks that start so, each on one line or on several."""
    found = []
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE):
        lines = textwrap.dedent(block).splitlines()
        for place, line in enumerate(lines):
            if not line.startswith(start):
                continue
            for end in range(place + 1, len(lines) + 1):
                command = "\n".join(lines[place:end])
                if command.endswith("\\"):
                    continue
                try:
                    shlex.split(command)
                except ValueError:  # a quotation goes on
                    continue
                found.append(command)
                break
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The addresses of servers, by the model's name, and a folder with the page's requests."""
    base = tmp_path_factory.mktemp("serving")
    shapes = ROOT / "saved_models" / "shapes" / "model.keras"
    tfgig.export_saved_model(str(shapes), base / "shapes", {"guided_ig": GUIDED}, warmup=(1,))
    ig = {"ig": tfgig.PathIntegral(steps=4)}
    tfgig.export_saved_model(table_model(), base / "table", ig, warmup=())
    with (
        LocalServer(base / "shapes", options(rest_seconds=120.0)) as one,
        LocalServer(base / "table", options(rest_seconds=120.0)) as other,
    ):
        yield base, {"shapes": one.rest_address, "table": other.rest_address}


def run(command, served):
    base, addresses = served
    name = "table" if "/models/table" in command else "shapes"
    done = subprocess.run(
        ["bash", "-c", command.replace(ADDRESS, addresses[name])],
        cwd=base,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(command):
    """What the page shows below a command, up to where it leaves something out."""
    _, _, rest = PAGE.partition(textwrap.indent(command, "    ") + "\n")
    return rest.strip().partition("...")[0].partition("\n")[0].strip()


def test_the_requests_with_curl(served, monkeypatch):
    monkeypatch.chdir(served[0])
    (code,) = re.findall(r"^    import json\n(?:    .*\n|\n(?=    ))+", PAGE, re.MULTILINE)
    exec(textwrap.dedent(code), {})
    answers = [run(command, served) for command in commands("curl")]
    texts = [shown(command) for command in commands("curl")]
    (prediction,) = json.loads(answers[0])["predictions"]
    assert np.argmax(prediction) == 6
    numbers = [float(number) for number in re.findall(r"-?\d[-\d.e]*", texts[0])]
    np.testing.assert_allclose(prediction[: len(numbers)], numbers, rtol=1e-3)
    assert run(commands("python3")[0], served) == ""
    assert (served[0] / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    (explained,) = json.loads(answers[2])["explanations"]
    assert np.shape(explained["attributions"]) == (96, 96, 3)
    assert explained["target"] == 2
    (row,) = json.loads(answers[3])["predictions"]
    assert np.shape(row["features"]) == (5,)
    assert row["target"] == 1
    assert row["ok"]
    columns = read_description(served[0] / "table" / "1").endpoints["features_ig"].columns
    assert f'"columns": {json.dumps(columns)}' in PAGE
    assert texts[4].endswith(" 400")
    assert texts[5].endswith(" 404")
    assert answers[4:6] == [f"{text}\n" for text in texts[4:6]]
    assert '"version":"1","state":"AVAILABLE"' in answers[6]
    assert len(answers) == 7


@pytest.mark.parametrize("command", commands("tfgig-config") + commands("tfgig-inspect"))
def test_the_programs(served, command):
    base, _ = served
    name, *arguments = shlex.split(command.replace("/models/flowers", str(base / "shapes")))
    arguments = [text.replace("=serving", f"={base / 'out'}") for text in arguments]
    done = program(name.removeprefix("tfgig-").replace("inspect", "inspect_model"), *arguments)
    if "error: " in shown(command):
        assert done.stderr.startswith(shown(command)), done.stderr
        assert done.returncode == 1
    else:
        assert done.stderr == ""
        assert done.returncode == 0
