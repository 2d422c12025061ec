"""tfgig-evaluate and tfgig-reproduce as a user runs them."""

import csv
import json
import re

import pytest

from tests.cases import image_model
from tests.tools.test_programs import program, refusals


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    done = program(
        "evaluate",
        "--handle=shapes_residual",
        f"--output={folder}/out",
        "--builtin.count=3",
        "--methods=gradient,ig",
        "--steps=4,8",
        "--regions=gradient",
        "--xrai.ranking=fast",
        "--metrics=completeness,localization,insertion",
        "--insertion.steps=4",
        "--resamples=20",
        "--maps=2",
        f"--report={folder}/report.html",
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_evaluate_writes_results_a_table_figures_and_a_report(evaluated):
    folder, done = evaluated
    names = ["gradient", "ig[steps=4]", "ig[steps=8]", "gradient_regions"]
    lines = [json.loads(x) for x in (folder / "out" / "results.jsonl").read_text().splitlines()]
    assert [(line["example"], line["method"]) for line in lines] == [
        (f"scene{i:04d}", name) for name in names for i in range(3)
    ]
    config = json.loads((folder / "out" / "experiment.json").read_text())
    assert config["metrics"]["insertion"]["steps"] == 4
    assert config["methods"]["gradient_regions"]["regions"]["ranking"] == "fast"
    assert (folder / "out" / "table.txt").read_text() in done.stdout + "\n"
    with (folder / "out" / "table.csv").open() as file:
        cells = {(r["method"], r["metric"], r["column"]): r for r in csv.DictReader(file)}
    assert float(cells["ig[steps=8]", "localization", "roc_auc"]["value"]) > 0.7
    assert cells["gradient", "completeness", "relative_delta"]["value"] == ""
    figures = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert figures >= {"insertion.probability.png", "steps.insertion.probability.png"}
    assert "data-value" in (folder / "report.html").read_text()


def test_evaluate_refuses_with_the_fix(evaluated):
    folder, _ = evaluated
    base = ["--handle=shapes", f"--output={folder}/other"]
    cases = {
        "Did you mean 'insertion'": [*base, "--metrics=insertions"],
        "Did you mean 'ig'": [*base, "--methods=igg"],
        "Did you mean 'gradient'": [*base, "--methods=gradient,ig", "--regions=gradent"],
        "Did you mean 'black'": [*base, "--baselines=blac"],
        "--steps takes whole numbers": [*base, "--steps=few"],
        "another experiment": [
            "--handle=shapes_residual",
            f"--output={folder}/out",
            "--builtin.count=4",
        ],
        "--directory.path has no effect without --dataset=directory": [*base, "--directory.path=x"],
        "--deletion.steps has no effect without --metrics=deletion": [
            *base,
            "--metrics=insertion",
            "--deletion.steps=3",
        ],
        "--xrai.area has no effect without --regions=": [*base, "--xrai.area=0.5"],
        "--shard takes a part": [*base, "--shard=3/2"],
        "no model file": ["--handle=nowhere.keras", f"--output={folder}/other"],
    }
    for message, (status, error) in zip(cases, refusals("evaluate", *cases.values()), strict=True):
        assert status == 1
        assert message in error
    assert not (folder / "other").exists()


def test_reproduce_prints_ours_beside_the_published(tmp_path):
    twins = [f"{tmp_path}/{i}.keras" for i in range(2)]
    for i, path in enumerate(twins):  # two models of one name
        model = image_model(shape=(96, 96, 3))
        model.set_weights([(1 + i) * weight for weight in model.get_weights()])
        model.save(path)
    done = program(
        "reproduce",
        "--table=guided_ig/1",
        f"--handles={','.join(twins)}",
        "--builtin.count=1",
        "--keep=all",
        "--trips=1",
        "--resamples=0",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "3.82e-07" in done.stdout
    assert "7.32e-08" in done.stdout
    assert len(set(re.findall(r"tiny-[0-9a-f]{6}(?= and MobileNet)", done.stdout))) == 2
    assert (tmp_path / "tfgig-reproduce" / "guided_ig-1.txt").read_text() in done.stdout + "\n"


def test_choosing_compares_methods_and_draws_them(tmp_path):
    arguments = (
        "choosing",
        "--handles=shapes_residual",
        "--builtin.count=2",
        "--methods=gradient_x_input,gradient,block_ig",
        "--measures=localization,integration_error",
        "--resamples=20",
        f"--output={tmp_path}",
    )
    done = program("reproduce", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "choosing.md").read_text()
    assert "shapes_residual: 2 images" in table
    rows = dict(re.findall(r"\| `(\w+)` \| [*~]*([\d.]+)", table))
    assert float(rows["block_ig"]) > float(rows["gradient"]) > 0.5
    assert (tmp_path / "choosing-shapes_residual.jpg").stat().st_size > 5000
    # Again: nothing is explained anew, and the seconds are kept.
    seconds = (tmp_path / "choosing-shapes_residual" / "seconds.jsonl").read_text()
    assert program("reproduce", *arguments, cwd=tmp_path).returncode == 0
    assert (tmp_path / "choosing.md").read_text() == table
    assert (tmp_path / "choosing-shapes_residual" / "seconds.jsonl").read_text() == seconds


def test_reproduce_refuses_before_it_measures(tmp_path):
    cases = {
        "Received: 'neither'": [],
        "Received: 'both'": ["choosing", "--table=guided_ig/1"],
        "or the word choosing": ["choose"],
        "Did you mean 'ig_smoothed'": ["choosing", "--methods=ig_smooth"],
        "Did you mean 'localization'": ["choosing", "--measures=localisation"],
        "--handles takes at least one model": ["--table=guided_ig/1", "--handles="],
        "Did you mean 'idgi/sic'": ["--table=guided_ig/1,idgi/sick"],
        "--deletion.steps has no effect without a table of deletion": [
            "--table=guided_ig/1",
            "--deletion.steps=3",
        ],
    }
    output = f"--output={tmp_path}/out"
    given = [[*arguments, output] for arguments in cases.values()]
    for message, (status, error) in zip(cases, refusals("reproduce", *given), strict=True):
        assert status == 1
        assert message in error
    assert not (tmp_path / "out").exists()
