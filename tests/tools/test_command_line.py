"""Options of specs as flags."""

import pytest
from absl import flags
from tfgig_tools import command_line

from tfgig import presets
from tfgig.baselines import Constant, Several, Uniform
from tfgig.paths import Blur, Straight
from tfgig.quadratures import GaussLegendre
from tfgig.targets import ClassScore


@pytest.fixture
def parse(monkeypatch):
    """Defines the flags of the presets and of a target anew, and parses arguments."""

    def parse(*arguments):
        values = flags.FlagValues()
        monkeypatch.setattr(flags, "FLAGS", values)
        monkeypatch.setattr(command_line, "FLAGS", values)
        for name in presets.names():
            _define(values, name, presets.get(name))
        _define(values, "target", ClassScore())
        values(["program", *arguments])
        return values

    def _define(values, name, spec):
        original = flags.DEFINE
        with monkeypatch.context() as patch:
            patch.setattr(
                flags,
                "DEFINE",
                lambda *a, **k: original(*a, flag_values=values, **k),
            )
            command_line.define_spec_flags(name, spec)

    return parse


def test_without_flags_the_presets_are_as_they_are(parse):
    parse()
    assert command_line.methods_from_flags(["ig"]) == {"ig": presets.get("ig")}


def test_every_option_of_every_preset_is_a_flag(parse):
    values = parse()
    for name in ("guided_ig.path.fraction", "blur_ig.path.max_sigma", "ig.path.baseline.value"):
        assert name in values
    assert "The share of all features" in values["guided_ig.path.fraction"].help


def test_nested_options_are_set(parse):
    parse("--guided_ig.path.fraction=0.1", "--guided_ig.steps=20", "--guided_ig.quadrature=left")
    method = command_line.methods_from_flags(["guided_ig"])["guided_ig"]
    assert (method.path.fraction, method.steps, method.quadrature.kind) == (0.1, 20, "left")


def test_a_place_is_an_option(parse):
    parse("--block_ig.place=b12_add", "--block_ig.inner.steps=20")
    method = command_line.methods_from_flags(["ig", "block_ig"])["block_ig"]
    assert (method.place, method.inner.steps) == ("b12_add", 20)


def test_a_method_is_named_once(parse):
    parse()
    with pytest.raises(ValueError, match=r"named twice. Received: ig\."):
        command_line.methods_from_flags(["ig", "gradient", "ig"])


def test_a_kind_and_its_options_are_set_in_any_order(parse):
    parse(
        "--ig.path.baseline.value=[1,2,3]", "--ig.path=straight", "--ig.quadrature=gauss_legendre"
    )
    method = command_line.methods_from_flags(["ig"])["ig"]
    assert method.path == Straight(Constant((1, 2, 3)))
    assert method.quadrature == GaussLegendre()


def test_a_spec_is_given_whole_as_json(parse):
    config = '{"kind": "baseline.uniform", "value_range": [-1, 1], "samples": 4}'
    parse(f"--ig.path.baseline={config}")
    method = command_line.methods_from_flags(["ig"])["ig"]
    assert method.path.baseline == Uniform((-1, 1), samples=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "baseline.unform"}', "Did you mean 'baseline.uniform'"),
        ('{"kind": ', "expected a number"),
    ],
)
def test_a_spec_that_json_does_not_make(parse, text, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        parse(f"--ig.path.baseline={text}")


def test_a_spec_of_another_family_is_refused(parse):
    parse('--ig.path.baseline={"kind": "path.blur"}')
    with pytest.raises(TypeError, match="`baseline` must be one of"):
        command_line.methods_from_flags(["ig"])


@pytest.mark.parametrize(
    ("flag", "value"),
    [("path.grad_step=none", None), ("path.grad_step=0.01", 0.01), ("internal_batch_size=4", 4)],
)
def test_optional_values(parse, flag, value):
    parse(f"--blur_ig.{flag}")
    method = command_line.methods_from_flags(["blur_ig"])["blur_ig"]
    assert (method.path.grad_step if "path" in flag else method.internal_batch_size) == value


def test_a_target_by_flags(parse):
    parse("--target.output=logits", "--target.output_name=probs")
    target = command_line.spec_from_flags("target", ClassScore())
    assert target == ClassScore("logits", output_name="probs")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--ig.steps=many", "a number"),
        ("--ig.steps=2.5", "a whole number"),
        ("--ig.quadrature=lef", "Did you mean 'left'"),
        ("--guided_ig.path.fraction=true", "a number"),
    ],
)
def test_values_of_another_type_are_refused_at_once(parse, flag, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        parse(flag)


def test_values_out_of_range_name_the_flag(parse):
    parse("--guided_ig.path.fraction=1.5")
    with pytest.raises(ValueError, match=r"--guided_ig\.path\.fraction: .*\(0, 1\].*1\.5"):
        command_line.methods_from_flags(["guided_ig"])


def test_options_of_a_method_that_is_not_used_are_refused(parse):
    parse("--blur_ig.steps=10")
    with pytest.raises(ValueError, match="'blur_ig', but it is not among the methods"):
        command_line.methods_from_flags(["ig"])


def test_help_of_every_option_says_something():
    for spec in (Straight(Several((Constant(0),))), Blur(), *map(presets.get, presets.names())):
        for option, _, _ in command_line.leaves(spec):
            assert len(command_line._help_of(spec, option)) > 4
