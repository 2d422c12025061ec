"""Tables, intervals, variants, protocols and comparisons."""

import csv
import io
import math

import numpy as np
import pytest

import tfgig
from tests.cases import ROOT
from tfgig.baselines import Several
from tfgig.evaluation import comparison, protocols, table, variants
from tfgig.evaluation.running import run
from tfgig.metrics import Insertion, Localization, Metric
from tfgig.regions import Regional
from tfgig.spec import leaves, members


@pytest.fixture(scope="module")
def made(experiment, source, tmp_path_factory):
    results = run(experiment, source, tmp_path_factory.mktemp("table"))
    return results, table.make_table(results, experiment.metrics, resamples=200)


def test_a_table_holds_means_and_marks_the_best(made, experiment):
    results, found = made
    assert found.methods == ("ig", "guided_ig")
    for method in found.methods:
        values = [s["probability"] for s in results.statistics(method, "insertion").values()]
        cell = found.cells[method, "insertion", "probability"]
        assert cell.value == pytest.approx(np.mean(values), rel=1e-12)
        assert cell.low < cell.value < cell.high
        assert cell.examples == 12
        assert found.cells[method, "localization", "roc_auc"].examples == 2
    for metric, column in found.columns:
        cells = {m: found.cells[m, metric, column.name] for m in found.methods}
        best = [m for m, cell in cells.items() if cell.best]
        if column.larger_is_better is None:
            assert not best
        else:
            choose = max if column.larger_is_better else min
            assert best == [choose(cells, key=lambda m: cells[m].value)]


def test_the_interval_is_the_bootstraps():
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    statistics = {
        str(i): {"probability": float(v), "probability_ratio": None} for i, v in enumerate(values)
    }
    cell = table.cells_of(Insertion(), statistics, 2000, 0)["probability"]
    error = values.std() / np.sqrt(400)  # of the mean, by theory
    assert cell.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert cell.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    nothing = table.cells_of(Insertion(), statistics, 20, 0)["probability_ratio"]
    assert math.isnan(nothing.value)
    assert nothing.examples == 0


def test_text_and_csv(made, experiment):
    results, found = made
    text = table.render(found)
    assert "guided_ig" in text
    assert text.count("*") - 1 == sum(cell.best for cell in found.cells.values())
    assert text.count("~") - 1 == sum(cell.tied for cell in found.cells.values()) > 0
    assert text.endswith(f"* the best; ~ {table.TIED}.\n")
    rows = list(csv.DictReader(io.StringIO(table.to_csv(found))))
    assert len(rows) == len(found.cells)
    cells = table.to_config(found)
    assert [list(cell) for cell in cells] == [list(row) for row in rows]
    assert cells[0]["value"] == float(rows[0]["value"])
    assert float(rows[0]["value"]) == found.cells["ig", "completeness", "relative_delta"].value
    (note,) = [n for n in table.notes(results, experiment.metrics) if "roc_auc" in n]
    assert note == "localization.roc_auc is defined for 2 of 12 examples of every method."


def test_without_draws_and_without_values_nothing_is_tied(made, experiment):
    results, _ = made
    found = table.make_table(results, experiment.metrics, resamples=0)
    assert not any(cell.tied for cell in found.cells.values())
    assert "~" not in table.render(found)

    class Some:
        """Results of which one method has none."""

        methods = ("ig", "gradient")

        def statistics(self, method, metric):
            statistics = results.statistics("ig", metric)
            undefined = experiment.metrics[metric].undefined()
            return statistics if method == "ig" else dict.fromkeys(statistics, undefined)

    found = table.make_table(Some(), experiment.metrics, resamples=50)
    assert not any(cell.tied for cell in found.cells.values())


def test_variants_have_the_options_and_say_so():
    methods = {name: tfgig.presets.get(name) for name in ("gradient", "ig", "guided_ig_anchored")}
    baselines = variants.named_baselines((-1, 1))
    found = variants.variants(methods, steps=[8, 64], anchors=[0, 3], baselines=baselines)
    assert len(found) == 1 + 3 * 2 + 2 * 3 * 2
    method = found["guided_ig_anchored[anchors=3,baseline=black_white,steps=64]"]
    assert (method.path.anchors, method.steps) == (3, 64)
    assert isinstance(method.path.path.baseline, Several)
    assert found["ig[baseline=black,steps=8]"].path.baseline.value == -1
    assert found["gradient"] == methods["gradient"]
    assert variants.variants(methods) == methods


@pytest.mark.parametrize("name", protocols.names())
def test_every_published_table_can_be_repeated(name):
    protocol = protocols.get(name, (0.0, 255.0))
    rows = {row for figures in protocol.published.values() for row in figures}
    assert set(protocol.methods) == rows
    assert len(rows) >= 2
    assert protocol.column in {column.name for column in protocol.metric.columns}
    assert protocol.metric.kind in {kind.kind for kind in members(Metric)}


def test_the_protocols_parameters_are_the_papers():
    four = protocols.get("guided_ig/3", (0.0, 255.0)).methods
    anchored = four["GIG(10), black + white"]
    assert (anchored.steps, anchored.path.anchors, anchored.path.path.fraction) == (200, 10, 0.1)
    assert [b.value for b in anchored.path.path.baseline.baselines] == [0.0, 255.0]
    assert "Blur IG, 2 random" in four  # whose path has no baseline
    regional = four["XRAI + GIG(20), black + white"]
    assert regional == Regional(four["GIG(20), black + white"])
    study = protocols.get("idgi/steps_sic", (0.0, 1.0)).methods
    steps = {value for m in study.values() for name, value, _ in leaves(m) if name == "steps"}
    assert steps == {8, 16, 32, 64, 128}
    assert protocols.get("idgi/sic", (0.0, 1.0)).keep == "correct"
    assert protocols.get("guided_ig/1", (0.0, 1.0)).metric.trips == 50
    published = protocols.get("idgi/insertion", (0.0, 1.0)).published
    assert published["ResNet50V2"]["BlurIG + IDGI"] == 0.237
    assert len(published) == 10


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'idgi/insertion'"):
        protocols.get("idgi/insertions", (0, 1))


def test_agreement_counts_pairs():
    published = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 3.0}

    def cells(**values):  # each with draws that lie within 1 of the value
        return {
            name: table.Cell(value, value - 1, value + 1, 5, draws=(value - 1, value, value + 1))
            for name, value in values.items()
        }

    ours = cells(a=10.0, b=30.0, c=20.0, d=40.0)
    assert comparison.agreement(ours, published) == (4, 5, 4, 5)  # c and d are one to the paper
    assert comparison.agreement(cells(a=1.0), published) == (0, 0, 0, 0)
    assert comparison.agreement({**ours, **cells(a=math.nan)}, published) == (1, 2, 1, 2)
    close = ours["a"]._replace(value=9.9, draws=(9.5, 10.5, 9.7))
    found = comparison.agreement({**ours, "b": close}, published)
    assert found == (4, 5, 4, 4)  # a and b are the wrong way round, but not told apart


def test_methods_are_told_apart_image_by_image():
    """Each image is .02 better by the one than by the other; images differ by far more."""
    hard = np.random.default_rng(0).normal(0.6, 0.2, 50)

    def cell(values):
        statistics = {
            str(i): {"probability": float(v), "probability_ratio": None}
            for i, v in enumerate(values)
        }
        return table.cells_of(Insertion(), statistics, 300, 0)["probability"]

    noise = np.random.default_rng(1).normal(0, 0.02, 50)
    better, worse, same = cell(hard + 0.02 + noise), cell(hard), cell(hard + noise - noise.mean())
    assert better.low < worse.high  # the intervals overlap
    assert table.told_apart(better, worse)
    assert not table.told_apart(worse, same)
    assert not table.told_apart(better, worse._replace(draws=()))


def test_the_comparison_shows_both_and_what_is_missing():
    protocol = protocols.get("guided_ig/2", (0.0, 255.0))
    cell = table.Cell(0.61234, 0.6, 0.65, 10)
    protocol = protocol._replace(skipped=("Edge",))
    text = comparison.render(protocol, {"mine": dict.fromkeys(protocol.methods, cell)})
    assert "0.612 [0.600, 0.650]" in text
    assert "0.705" in text
    assert "mine and ImageNet MobileNet: 0 of" in text
    assert text.splitlines()[-1] == "Not measured: Edge."
    nothing = dict.fromkeys(protocol.methods, table.Cell(math.nan, math.nan, math.nan, 0))
    text = comparison.render(protocol, {"mine": nothing}, {"mine": ["No image has a mask."]})
    assert "mine and ImageNet MobileNet: nothing to compare" in text
    assert "agrees" not in text
    assert "\nmine: No image has a mask.\n" in text


def test_a_method_that_one_metric_cannot_judge_has_a_dash():
    found = table.cells_of(Localization(), {"a": Localization().undefined()}, 10, 0)
    assert table.format_number(found["roc_auc"].value) == "-"


def test_the_documentation_knows_every_metric_and_table():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for kind in members(Metric):
        assert f"`{kind.kind}`" in text, f"docs/evaluation.md says nothing of {kind.kind}"
