import dataclasses
import json

import keras
import numpy as np
import pytest

import tfgig
from tfgig import presets
from tfgig.baselines import Constant, DatasetSample, Several, Uniform
from tfgig.methods import At, GradCAM
from tfgig.paths import Anchored, Blur, Guided
from tfgig.quadratures import Left, Trapezoid
from tfgig.spec import from_config, leaves, members, nearest, replace_all, to_config
from tfgig.targets import (
    ClassScore,
    Contrast,
    CustomScore,
    OutputValue,
    RegionScore,
    Threshold,
)

GUIDED = tfgig.presets.get("guided_ig")


@keras.saving.register_keras_serializable(package="tfgig_tests")
def largest(outputs, target):
    return keras.ops.max(outputs, axis=1)


def test_a_config_is_plain_json():
    config = to_config(Guided(Constant((1.0, 2.0)), fraction=0.1))
    assert config == {
        "kind": "path.guided",
        "baseline": {"kind": "baseline.constant", "value": [1.0, 2.0]},
        "fraction": 0.1,
        "max_distance": 0.02,
        "steps_per_choice": 1,
        "selection": "nth_element",
    }
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    "spec",
    [
        Several((Constant(0.0), Constant((1.0, 2.0, 3.0)))),
        Constant(np.arange(6.0).reshape(1, 2, 3)),
        Anchored(Guided(fraction=0.3), anchors=2),
        dataclasses.replace(GUIDED, quadrature=Left()),
        ClassScore("logits", output_name="scores"),
        CustomScore(largest),
    ],
    ids=lambda spec: spec.kind,
)
def test_specs_come_back_equal(spec):
    again = from_config(json.loads(json.dumps(to_config(spec))))
    assert again == spec
    assert hash(again) == hash(spec)


def test_numbers_of_numpy_are_as_good_as_pythons():
    """As `argmax`, `len` of an axis or `linspace` return them."""
    pairs = [
        (Contrast(np.array([0, 9, 3]).argmax(), np.int32(2)), Contrast(1, 2)),
        (OutputValue(np.uint8(3)), OutputValue(3)),
        (Threshold(np.float32(0.25)), Threshold(0.25)),
        (RegionScore(((np.int64(1), np.int64(4)),)), RegionScore(((1, 4),))),
        (tfgig.PathIntegral(steps=np.int64(20)), tfgig.PathIntegral(steps=20)),
        (tfgig.Smooth(samples=np.int64(4), seed=np.int16(1)), tfgig.Smooth(samples=4, seed=1)),
        (At(np.str_("late"), GradCAM()), At("late", GradCAM())),
        (Uniform(samples=np.int64(2), seed=np.uint32(7)), Uniform(samples=2, seed=7)),
    ]
    for found, expected in pairs:
        assert found == expected
        assert hash(found) == hash(expected)
        assert repr(found) == repr(expected)  # plain, not only equal
        assert json.dumps(to_config(found)) == json.dumps(to_config(expected))
    sample = DatasetSample.of(np.arange(12.0).reshape(4, 3), samples=np.int64(2), seed=np.int64(1))
    assert sample == DatasetSample.of(np.arange(12.0).reshape(4, 3), samples=2, seed=1)
    for wrong in (np.bool_(True), np.float64(3.0), np.float32("nan")):
        with pytest.raises(ValueError, match="whole number"):
            tfgig.PathIntegral(steps=wrong)


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GUIDED.steps = 3


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match=r"'path\.giuded'.*Did you mean 'path\.guided'\?"):
        from_config({"kind": "path.giuded"})
    with pytest.raises(ValueError, match="Unknown kind ''"):
        from_config({"fraction": 0.1})


def test_an_unknown_field_is_refused():
    with pytest.raises((TypeError, ValueError), match="speed"):
        from_config({"kind": "path.guided", "speed": 1})


def test_a_value_is_checked_when_it_is_read():
    with pytest.raises(ValueError, match=r"Received: 7"):
        from_config({**to_config(Guided()), "fraction": 7})


def test_functions_are_found_by_their_registered_name_only():
    assert to_config(largest) == {"function": "tfgig_tests>largest"}
    with pytest.raises(ValueError, match=r"register_keras_serializable.*Received: 'os\.system'"):
        from_config({"kind": "target.custom_score", "function": {"function": "os.system"}})
    unregistered = to_config(CustomScore(lambda outputs, target: outputs[:, 0]))
    with pytest.raises(ValueError, match="register_keras_serializable"):
        from_config(unregistered)


def test_leaves_are_all_options_by_dotted_name():
    found = {name: (value, kind) for name, value, kind in leaves(GUIDED)}
    assert found["steps"] == (200, int)
    assert found["path.fraction"] == (0.25, float)
    assert found["path.baseline.value"][0] == 0.0
    assert found["path"][0] == GUIDED.path
    assert found["quadrature"][0] == GUIDED.quadrature


def test_replace_at_any_depth():
    changed = replace_all(GUIDED, {"path.fraction": 0.1})
    assert changed == dataclasses.replace(
        GUIDED, path=dataclasses.replace(GUIDED.path, fraction=0.1)
    )
    assert GUIDED.path.fraction == 0.25
    assert replace_all(GUIDED, {"path.baseline.value": 3.0}).path.baseline == Constant(3.0)
    with pytest.raises(ValueError, match=r"Guided has no option 'fractoin'.*Did you mean 'frac"):
        replace_all(GUIDED, {"path.fractoin": 0.1})
    with pytest.raises(ValueError, match=r"PathIntegral has no option 'stepps'.*'steps'"):
        replace_all(GUIDED, {"stepps": 1})
    with pytest.raises(ValueError, match="fraction"):
        replace_all(GUIDED, {"path.fraction": 2.0})


def test_an_option_within_a_number_is_refused():
    with pytest.raises(ValueError, match="fraction"):
        replace_all(GUIDED, {"path.fraction.deeper": 2.0})


def test_members_of_a_family():
    assert Guided in members(tfgig.paths.Path)
    assert tfgig.paths.FixedPath not in members(tfgig.paths.Path)
    adaptive = members(tfgig.paths.AdaptivePath)
    assert {Guided, Anchored} < set(adaptive)
    assert Blur not in adaptive


def test_two_specs_cannot_share_a_name():
    with pytest.raises(TypeError, match=r"choose another `kind`.*'path\.guided'"):

        @dataclasses.dataclass(frozen=True)
        class Mine(tfgig.paths.FixedPath):
            kind = "guided"

    assert type(from_config(to_config(Guided()))) is Guided


def test_nearest_without_any_near():
    assert nearest("xyz", ["guided", "straight"]) == "Known: guided, straight."


def test_options_that_are_only_good_together_are_given_together():
    method = presets.get("guided_ig_anchored")
    changed = replace_all(method, {"steps": 10, "path.anchors": 4})
    assert (changed.steps, changed.path.anchors) == (10, 4)
    method = presets.get("ig")
    changed = replace_all(
        method, {"path.fraction": 0.5, "path": Guided(), "quadrature": Trapezoid()}
    )
    assert changed.path == Guided(fraction=0.5)
