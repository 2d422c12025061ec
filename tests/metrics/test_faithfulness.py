"""Infidelity and max-sensitivity by their published definitions; completeness."""

import numpy as np
import pytest

from tests.cases import images
from tests.metrics.conftest import SHAPE
from tfgig.metrics import Completeness, Infidelity, MaxSensitivity
from tfgig.metrics.infidelity import infidelity
from tfgig.metrics.sensitivity import max_sensitivity


def published_infidelity(attributions, perturbations, before, after, normalize):
    """Definition 2.1 of Yeh et al., the expectation as a loop; captum's factor."""
    terms = []
    for perturbation, moved in zip(perturbations, after, strict=True):
        terms.append(((perturbation * attributions).sum(), before - moved))
    foretold, drop = np.array(terms, np.float64).T
    beta = 1.0
    if normalize:
        beta = np.mean(foretold * drop) / np.mean(foretold**2)
    return sum((beta * f - d) ** 2 for f, d in zip(foretold, drop, strict=True)) / len(terms)


@pytest.mark.parametrize("normalize", [False, True])
def test_infidelity_as_published(normalize, subjects, examples):
    example, subject = examples["gradient"][1], subjects["gradient"]
    metric = Infidelity(samples=7, noise=0.1, normalize=normalize, seed=4)
    noise = np.random.default_rng(4).normal(0, 25.5, (7, *SHAPE)).astype(np.float32)
    model = subject.source.model.serve
    before = model(example.image[np.newaxis]).values["scores"].numpy()[0, example.target]
    after = model(example.image - noise).values["scores"].numpy()[:, example.target]
    expected = published_infidelity(example.attributions, noise, before, after, normalize)
    found = metric.statistics([example], subject)[0]["infidelity"]
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_gradient_of_a_linear_score_is_faithful_without_end():
    random = np.random.default_rng(0)
    gradient, noise = random.normal(size=(5, 4)), random.normal(size=(20, 5, 4))
    drops = (noise * gradient).sum((1, 2))
    assert infidelity(gradient, noise, drops, normalize=False) == pytest.approx(0, abs=1e-25)
    assert infidelity(3 * gradient, noise, drops, normalize=True) == pytest.approx(0, abs=1e-25)
    assert infidelity(3 * gradient, noise, drops, normalize=False) > 1
    assert infidelity(0 * gradient, noise, drops, normalize=True) == pytest.approx(
        np.mean(drops**2)
    )


def test_max_sensitivity_as_published(subjects, examples):
    example, subject = examples["ig"][0], subjects["ig"]
    noise = np.random.default_rng(2).uniform(-12.75, 12.75, (3, *SHAPE)).astype(np.float32)
    largest = 0.0
    for r in noise:  # Definition 3.1 of Yeh et al., divided by the norm as captum does
        moved = subject.explain((example.image + r)[np.newaxis], example.target)["attributions"][0]
        distance = np.sqrt(((moved - example.attributions) ** 2).sum(dtype=np.float64))
        norm = np.sqrt((example.attributions**2).sum(dtype=np.float64))
        largest = max(largest, distance / norm)
    metric = MaxSensitivity(samples=3, radius=0.05, seed=2)
    found = metric.statistics([example], subject)[0]["max_sensitivity"]
    assert found == pytest.approx(largest, rel=1e-3)


def test_the_same_attributions_everywhere_are_not_sensitive():
    attributions = images(1)[0]
    assert max_sensitivity(attributions, np.stack([attributions] * 3)) == 0.0
    assert max_sensitivity(np.zeros(4), np.array([[0, 3, 4, 0]])) == 5.0


def test_completeness_is_relative(subjects, examples):
    example = examples["ig"][0]._replace(score=0.9, baseline_score=0.4, delta=-0.05)
    (found,) = Completeness().statistics([example], subjects["ig"])
    assert found["relative_delta"] == pytest.approx(0.1)
    flat = example._replace(score=0.4)
    assert Completeness().statistics([flat], subjects["ig"]) == [{"relative_delta": None}]
    assert Completeness().statistics([example], subjects["gradient"]) == [{"relative_delta": None}]


def test_completeness_reports_the_median():
    statistics = {str(i): {"relative_delta": x} for i, x in enumerate((0.1, 0.2, None, 1e9))}
    assert Completeness().aggregate(statistics) == {"relative_delta": 0.2}
