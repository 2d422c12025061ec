"""Every kind of endpoint that is registered keeps the same contract."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images
from tfgig import spec
from tfgig.exported import kinds
from tfgig.exported.description import read_description
from tfgig.exported.kinds import KINDS, EndpointKind
from tfgig.serving import SessionModel
from tfgig.serving.deployment.contract import check_contract
from tfgig.serving.protocol.explanation import choose, predict_request
from tfgig.serving.protocol.json_body import Body
from tfgig.spec import from_config, members, to_config


def test_every_kind_is_registered():
    assert [type(kind) for kind in KINDS.values()] == members(EndpointKind)
    assert len({kind.prefix for kind in KINDS.values()}) == len(KINDS)
    with pytest.raises(
        ValueError, match=r"Unknown kind of endpoint 'heatmaps'.*Did you mean 'heatmap'"
    ):
        kinds.get("heatmaps")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_is_known_by_its_answer(kind):
    outputs = [kind.answer, *kind.outputs]
    assert from_config(to_config(kind)) == kind
    assert kind.missing(outputs) == []
    assert kind.missing(outputs[:-1]) == [outputs[-1]]
    assert kind.missing([f"{kind.answer}_left", f"{kind.answer}_right", *kind.outputs]) == []
    assert [other for other in KINDS.values() if other.answers(outputs)] == [kind]
    assert not kind.answers(["output_0", "logits"])


@pytest.fixture
def total(monkeypatch):
    """A kind from elsewhere: one class, and its registration."""

    @dataclasses.dataclass(frozen=True)
    class Total(EndpointKind):
        """`total` float32 [B], the sum of the attributions."""

        kind = "total"
        prefix = "total_"
        answer = "total"
        outputs = ("target", "ok")

        def applies(self, source, place):
            return source.view.at_inputs

        def build(self, material):
            def explain_total(target, *inputs):
                found = material.explain(target, *inputs)
                total = tf.reduce_sum(found["attributions"], [1, 2, 3])
                return {"total": total, "target": found["target"], "ok": found["ok"]}

            return explain_total

    monkeypatch.setitem(KINDS, Total.kind, Total())
    yield
    del spec._KINDS["endpoint.total"]


def test_a_new_kind_is_one_class_and_its_registration(total, tmp_path):
    methods = {"mine": tfgig.methods.Gradient()}
    directory = tfgig.export_saved_model(image_model(), tmp_path / "model", methods)
    assert check_contract(directory) == []
    assert read_description(directory).endpoints["total_mine"].kind == "total"
    with SessionModel(directory) as model:
        assert set(model.signatures["total_mine"].outputs) == {"total", "target", "ok"}
        assert choose(model.signatures, "mine", "total") == "total_mine"
        given = {"image": images(2), "target": [1, 2]}
        found, whole = model.run("total_mine", **given), model.run("explain_mine", **given)
        body = {"instances": images(2).tolist(), "method": "mine", "kind": "total", "target": 2}
        asked = predict_request(Body(body), model.signatures).values
    np.testing.assert_allclose(found["total"], whole["attributions"].sum((1, 2, 3)), rtol=1e-5)
    assert asked["signature_name"] == "total_mine"
    assert [row["target"] for row in asked["instances"]] == [2, 2]


def test_a_kind_that_is_not_known(total, tmp_path, monkeypatch):
    """Of an export that a later version wrote: all else works."""
    methods = {"mine": tfgig.methods.Gradient()}
    directory = tfgig.export_saved_model(image_model(), tmp_path / "model", methods)
    monkeypatch.delitem(KINDS, "total")
    (finding,) = check_contract(directory)
    assert str(finding).startswith("total_mine: is of kind 'total', which this tfgig does not")
    with SessionModel(directory) as model:
        assert choose(model.signatures, "mine") == "explain_mine"
