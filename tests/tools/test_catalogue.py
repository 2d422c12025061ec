"""The catalogue: read off the specs, so it cannot disagree with them."""

import json

import pytest
from tfgig_tools import catalogue

from tfgig import presets
from tfgig.spec import leaves, to_config


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_has_an_entry(name):
    entry = catalogue.describe(name)
    method = presets.get(name)
    assert entry.title
    assert entry.gradients == method.gradients
    assert entry.formulas[method.kind]
    assert entry.references, "no paper is named"
    for reference in entry.references:
        assert any(mark in reference for mark in ("arXiv:", "doi:")), reference
    for option, value, _ in leaves(method):
        if option in entry.options:
            assert entry.options[option] == to_config(value)
    assert json.dumps(entry.options)


def test_an_entry_tells_the_parts_apart():
    entry = catalogue.describe("guided_ig_anchored")
    assert list(entry.formulas) == [
        "path_integral",
        "path = anchored",
        "path.path = guided",
        "path.path.baseline = constant",
        "rule = riemann",
        "quadrature = trapezoid",
    ]
    assert "`gradient * displacement`" in entry.formulas["rule = riemann"]
    assert entry.options["path.path.fraction"] == 0.1
    assert any("2106.09788" in reference for reference in entry.references)


def test_the_text_fits_a_terminal():
    for name in presets.names():
        lines = catalogue.text(catalogue.describe(name)).splitlines()
        assert lines[0].startswith(f"{name}: ")
        assert max(map(len, lines[1:])) <= 100


def test_a_cost_that_depends_on_the_row_is_a_range():
    text = catalogue.text(catalogue.describe("ig_converged"))
    assert text.splitlines()[0].endswith("; 12 to 385 gradients")


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'guided_ig'"):
        catalogue.describe("guided")
