"""The promised names, and how they are called."""

import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest

import tfgig
from tfgig.spec import Spec

NAMES = (
    "At",
    "Converge",
    "Endpoint",
    "Explainer",
    "Explanation",
    "Lane",
    "PathIntegral",
    "Smooth",
    "baselines",
    "export_saved_model",
    "load_model",
    "methods",
    "paths",
    "plot",
    "presets",
    "quadratures",
    "regions",
    "rules",
    "targets",
)
# In the order in which they may be given without a name; "=" where there is a default.
FUNCTIONS = {
    "Explainer": "model method target= layer= **options",
    "export_saved_model": "model path methods= target= version= overwrite= warmup= lane=",
    "load_model": (
        "handle value_range= signature= shape= layer= allow_unsafe_deserialization= example= "
        "constants= input_names= data_format="
    ),
    "baselines.DatasetStatistic.of": "data statistic=",
    "baselines.DatasetSample.of": "data samples= seed=",
    "baselines.black": "value_range=",
    "baselines.black_and_white": "value_range=",
    "baselines.white": "value_range=",
    "plot": (
        "explanation inputs= kind= style= rows= class_names= feature_names= tokens= value_range= "
        "max_display= figsize="
    ),
    "presets.get": "name",
    "presets.names": "",
}
SPECS = {
    "At": "place= inner= positions=",
    "Converge": "inner= tolerance= most_steps=",
    "PathIntegral": "path= rule= quadrature= steps= internal_batch_size=",
    "Endpoint": "name method target= kind= overlay= layer=",
    "paths.Straight": "baseline=",
    "paths.Guided": "baseline= fraction= max_distance= steps_per_choice= selection=",
    "paths.Anchored": "path= anchors=",
    "paths.Blur": "max_sigma= spacing= scale= padding= grad_step=",
    "rules.Riemann": "",
    "rules.ImportantDirection": "",
    "quadratures.Left": "",
    "quadratures.Right": "",
    "quadratures.Midpoint": "",
    "quadratures.Trapezoid": "",
    "quadratures.GaussLegendre": "",
    "quadratures.Endpoints": "",
    "baselines.Constant": "value=",
    "baselines.Several": "baselines=",
    "baselines.Gaussian": "spread= relative= samples= seed= value_range=",
    "baselines.Uniform": "value_range= samples= seed=",
    "baselines.Blurred": "sigma= padding=",
    "baselines.MaximumDistance": "value_range=",
    "baselines.MaximumEntropy": "start= steps= value_range= output_name=",
    "baselines.NearestBoundary": "crossing= steps= refinements= overshoot= value_range=",
    "baselines.DatasetStatistic": "value statistic= examples=",
    "baselines.DatasetSample": "examples seed=",
    "methods.AdaptiveTaylor": "spreads= relative= measure= samples= seed= internal_batch_size=",
    "methods.Edge": "",
    "methods.Gradient": "",
    "Smooth": "inner= samples= spread= relative= statistic= seed= internal_batch_size=",
    "targets.ClassScore": "output= output_name=",
    "targets.Contrast": "a b output= output_name=",
    "targets.CustomScore": "function output_name=",
    "targets.Evenness": "output_name=",
    "targets.Margin": "output= output_name=",
    "targets.OutputValue": "unit= output= output_name=",
    "targets.RegionScore": "region= output= output_name=",
    "targets.Threshold": "level= unit= output= output_name=",
}
PRESETS = (
    "gradient",
    "ig",
    "ig_converged",
    "guided_ig",
    "guided_ig_reference",
    "guided_ig_anchored",
    "blur_ig",
    "blur_ig_converged",
    "blur_ig_reference",
    "ig_idgi",
    "guided_ig_idgi",
    "blur_ig_idgi",
    "boundary_ig",
    "gradient_x_input",
    "smooth_grad",
    "smooth_ig",
    "smooth_taylor",
    "smooth_taylor_adaptive",
    "edge",
)


def named(path):
    found = tfgig
    for part in path.split("."):
        found = getattr(found, part)
    return found


def call(function):
    words = []
    for parameter in inspect.signature(function).parameters.values():
        stars = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}
        has_default = parameter.default is not parameter.empty
        words.append(stars.get(parameter.kind, "") + parameter.name + "=" * has_default)
    return " ".join(words)


def subclasses(base):
    for direct in base.__subclasses__():
        yield from (direct, *subclasses(direct))


def test_the_promised_names_are_there():
    assert isinstance(tfgig.__all__, tuple)
    assert set(NAMES) <= set(tfgig.__all__)
    assert sorted(tfgig.__all__) == list(tfgig.__all__)
    for name in tfgig.__all__:
        assert getattr(tfgig, name).__doc__, name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_of_functions(name):
    assert call(named(name)) == FUNCTIONS[name]


@pytest.mark.parametrize("name", SPECS)
def test_calls_of_specs(name):
    assert dataclasses.is_dataclass(named(name))
    assert named(name).__dataclass_params__.frozen
    assert call(named(name)) == SPECS[name]


def test_every_spec_says_what_its_arguments_are():
    for module in pkgutil.walk_packages(tfgig.__path__, "tfgig."):
        importlib.import_module(module.name)
    specs = [spec for spec in subclasses(Spec) if not spec.__name__.startswith("_")]
    assert len(specs) > 60
    for spec in filter(dataclasses.is_dataclass, specs):
        told = "\n".join(base.__doc__ or "" for base in spec.__mro__)
        for field in dataclasses.fields(spec):
            assert re.search(rf"(?m)^ +{field.name}: \S", told), (spec, field.name)


def test_presets_keep_their_names():
    assert set(PRESETS) <= set(tfgig.presets.names())
    with pytest.raises(ValueError, match=r"'guided'.*Did you mean 'guided_ig'\?.*Known: "):
        tfgig.presets.get("guided")


@pytest.mark.parametrize(
    "package",
    [
        "baselines",
        "targets",
        "regions",
        "paths",
        "methods",
        "layers",
        "models",
        "export",
        "serving",
        "image",
        "plots",
    ],
)
def test_packages_say_what_they_offer(package):
    module = __import__(f"tfgig.{package}", fromlist=["__all__"])
    assert all(getattr(module, name).__doc__ for name in module.__all__)


def test_the_version_is_a_version():
    assert [part.isdigit() for part in tfgig.__version__.split(".")] == [True] * 3
