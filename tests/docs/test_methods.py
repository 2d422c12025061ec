"""The page on methods cannot fall behind the methods."""

import re

import pytest

from tests.cases import ROOT
from tfgig import baselines, image, presets, targets
from tfgig.baselines import Baseline
from tfgig.spec import members
from tfgig.targets import Target

PAGE = (ROOT / "docs" / "methods.md").read_text()


@pytest.mark.parametrize("name", presets.names())
def test_every_named_method_is_described(name):
    headings = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    assert any(f"`{name}`" in heading for heading in headings)


def test_the_costs_are_the_methods_own():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| 0\.\d\d \|$", PAGE, re.MULTILINE)
    assert len(rows) == 12
    for name, gradients in rows:
        assert presets.get(name).gradients == int(gradients), name


def test_baselines_targets_and_styles_are_all_named():
    for family, package in ((Baseline, baselines), (Target, targets)):
        for member in members(family):
            assert f"`{member.__name__}" in PAGE, member
            assert hasattr(package, member.__name__)
    for style in members(image.Style):
        assert f"`{style.kind}`" in PAGE


def test_the_picture_is_there_and_small():
    (picture,) = re.findall(r"!\[[^]]*\]\((.*?)\)", PAGE)
    assert (ROOT / "docs" / picture).stat().st_size < 300_000
