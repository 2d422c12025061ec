"""The lane: in the graph, and so in any server, what bounds how many explanations run at once."""

import dataclasses
import json
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images
from tests.models.inputs import TOKENS
from tests.raw_session import RawSession
from tfgig.exported.description import read_description
from tfgig.methods import Gradient, Method
from tfgig.paths import Guided, Straight
from tfgig.serving import SessionModel
from tfgig.tracing import AS_IS

SLOW = tfgig.PathIntegral(Straight(), steps=4000, internal_batch_size=1)
QUICK = tfgig.PathIntegral(Straight(), steps=4)
WAITING = 3


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    methods = {"slow": SLOW, "quick": QUICK, "guided": tfgig.PathIntegral(Guided())}
    return tfgig.export_saved_model(
        image_model(),
        tmp_path_factory.mktemp("lane") / "m",
        [tfgig.Endpoint(f"explain_{name}", method) for name, method in methods.items()],
        lane=tfgig.Lane(waiting=WAITING),
        warmup=(),
    )


@pytest.fixture(scope="module", params=["session", "python"])
def call(request, directory):
    """Calls a signature: in a session, as TensorFlow Serving does, or from Python."""
    if request.param == "session":
        found = RawSession(directory).run
    else:
        loaded = tf.saved_model.load(str(directory))

        def found(name, **inputs):
            if name.startswith("explain"):
                inputs.setdefault("target", np.full(len(inputs["image"]), -1, np.int64))
            outputs = loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
            return {key: value.numpy() for key, value in outputs.items()}

    for name in ("explain_slow", "explain_quick", "serving_default"):
        found(name, image=images(1) * np.nan)  # what the first call costs is not measured
    return found


class Calls:
    """Calls made at the same time: when each ended, and how."""

    def __init__(self, call):
        self._call, self._threads = call, []
        self.ended, self.answers, self.errors = {}, {}, {}

    def start(self, key, name, **inputs):
        def work():
            try:
                self.answers[key] = self._call(name, **inputs)
            except tf.errors.OpError as error:
                self.errors[key] = error
            self.ended[key] = time.monotonic()

        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()
        time.sleep(0.02)

    def join(self):
        for thread in self._threads:
            thread.join()


def test_signatures_share_one_bound_and_predictions_pass_by(call):
    calls, started = Calls(call), time.monotonic()
    calls.start("slow", "explain_slow", image=images(4))
    time.sleep(0.2)  # until it runs
    calls.start("quick", "explain_quick", image=images(1, seed=1))
    calls.start("prediction", "serving_default", image=images(1))
    calls.join()
    assert not calls.errors
    took = {key: ended - started for key, ended in calls.ended.items()}
    assert took["prediction"] < took["slow"]
    assert took["quick"] > 0.9 * took["slow"]  # it waits, though of another signature


@pytest.mark.parametrize("lane", [tfgig.Lane(), tfgig.Lane(at_once=0)], ids=["lane", "no lane"])
def test_without_a_lane_as_many_explanations_as_threads_hold_up_predictions(lane, tmp_path):
    endpoints = [tfgig.Endpoint("explain_slow", dataclasses.replace(SLOW, steps=1000))]
    directory = tfgig.export_saved_model(image_model(), tmp_path, endpoints, lane=lane, warmup=())
    with SessionModel(directory, inter_op_threads=2) as model:
        target = np.array([-1])
        model.run("explain_slow", image=images(1) * np.nan, target=target)
        model.run("serving_default", image=images(1))
        calls, started, waits = Calls(model.run), time.monotonic(), []
        for number in range(2):
            calls.start(number, "explain_slow", image=images(1), target=target)
        while len(calls.ended) < 2:
            asked = time.monotonic()
            model.run("serving_default", image=images(1))
            waits.append(time.monotonic() - asked)
            time.sleep(0.01)
        calls.join()
    assert not calls.errors
    # A prediction waits for most of an explanation, or none does for half of one.
    held_up = max(waits) > 0.5 * (min(calls.ended.values()) - started)
    assert held_up == (lane.at_once == 0), (max(waits), calls.ended)


def test_a_full_queue_is_unavailable_at_once(call):
    calls, started = Calls(call), time.monotonic()
    for number in range(WAITING + 3):
        calls.start(number, "explain_slow", image=images(1))
    calls.join()
    assert set(calls.errors) == {WAITING + 1, WAITING + 2}
    assert all(isinstance(e, tf.errors.UnavailableError) for e in calls.errors.values())
    first = min(calls.ended[number] for number in calls.answers)
    assert all(calls.ended[number] < first for number in calls.errors), started


def test_what_a_request_answers_does_not_depend_on_what_comes_with_it(call):
    """In the last bit, which guided paths would make a visible difference of."""
    alone = {seed: call("explain_guided", image=images(1, seed=seed)) for seed in range(3)}
    calls = Calls(call)
    for seed in range(3):
        calls.start(seed, "explain_guided", image=images(1, seed=seed))
    calls.join()
    for seed, answer in calls.answers.items():
        for name, value in alone[seed].items():
            np.testing.assert_array_equal(answer[name], value, err_msg=name)


def test_requests_of_any_size_and_no_rows(call):
    calls = Calls(call)
    for rows in (1, 0, 40):
        calls.start(rows, "explain_quick", image=images(40)[:rows])
    calls.join()
    assert {rows: len(answer["ok"]) for rows, answer in calls.answers.items()} == {
        1: 1, 0: 0, 40: 40
    }  # fmt: skip
    np.testing.assert_allclose(
        calls.answers[40]["attributions"][:1], calls.answers[1]["attributions"], atol=1e-5
    )


def test_a_target_may_be_left_out_and_is_one_for_all(directory):
    session = RawSession(directory)
    left_out = session.run("explain_quick", image=images(3))
    given = session.run("explain_quick", image=images(3), target=left_out["target"])
    np.testing.assert_array_equal(left_out["attributions"], given["attributions"])
    one = session.run("explain_quick", image=images(3), target=np.array([2]))
    np.testing.assert_array_equal(one["target"], [2, 2, 2])


def test_a_deadline_stops_what_runs_and_nobody_elses(directory):
    session = RawSession(directory)
    session.run("explain_slow", image=images(1) * np.nan)
    calls = Calls(session.run)
    calls.start("late", "explain_slow", image=images(1), seconds=0.1)
    calls.start("patient", "explain_quick", image=images(1))
    calls.join()
    assert isinstance(calls.errors["late"], tf.errors.DeadlineExceededError)
    assert calls.answers["patient"]["ok"].all()


@pytest.mark.parametrize("name", ["explain_slow", "explain_guided"])
def test_requests_that_are_stopped_are_cancelled_whether_they_run_or_wait(directory, name):
    """A server may tell a client to ask again; INTERNAL says that something is broken."""
    session = RawSession(directory)
    session.run(name, image=images(1) * np.nan)
    calls = Calls(session.run)
    for key in ("runs", "waits", "waits, too"):
        calls.start(key, name, image=images(30))
    session.close()
    calls.join()
    assert set(calls.errors) == {"runs", "waits", "waits, too"}
    assert {type(error) for error in calls.errors.values()} == {tf.errors.CancelledError}


def test_rows_of_different_length_neither_meet_nor_fail_each_other(tmp_path):
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(TOKENS, 4, name="embedding")(inputs)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    source = tfgig.load_model(model, layer="embedding")
    for lane in (tfgig.Lane(waiting=8), tfgig.Lane(waiting=8, rows=4)):
        directory = tfgig.export_saved_model(
            source, tmp_path / "m", {"quick": QUICK}, lane=lane, warmup=()
        )
        calls = Calls(RawSession(directory).run)
        for length in (3, 5, 2, 7):
            calls.start(length, "tokens_quick", tokens=np.ones((2, length), np.int32))
        calls.join()
        shapes = {length: answer["tokens"].shape for length, answer in calls.answers.items()}
        assert shapes == {length: (2, length) for length in (3, 5, 2, 7)}


def test_rows_are_put_together_where_that_is_asked_for(tmp_path):
    directory = tfgig.export_saved_model(
        image_model(), tmp_path / "m", [tfgig.Endpoint("explain_quick", QUICK)],
        lane=tfgig.Lane(rows=4, waiting=50), warmup=(),
    )  # fmt: skip
    session = RawSession(directory)
    expected = run_direct(QUICK, images(11))
    calls = Calls(session.run)
    calls.start("all", "explain_quick", image=images(11))  # larger than a run: split
    for row in range(4):
        calls.start(row, "explain_quick", image=images(11)[row : row + 1])
    calls.start("bad", "explain_quick", image=images(1) * np.nan)
    calls.start("none", "explain_quick", image=images(1)[:0])
    calls.join()
    assert not calls.errors
    np.testing.assert_allclose(calls.answers["all"]["attributions"], expected, atol=1e-5)
    for row in range(4):
        found = calls.answers[row]["attributions"]
        np.testing.assert_allclose(found, expected[row : row + 1], atol=1e-5)
    assert not calls.answers["bad"]["ok"].any()
    assert calls.answers["none"]["attributions"].shape == (0, *images(1).shape[1:])


def run_direct(method: Method, pixels):
    explanation = tfgig.Explainer(image_model(), method)(pixels)
    return explanation["attributions"].numpy()


def test_no_lane_where_none_is_wanted(tmp_path):
    for at_once in (0, 2):
        directory = tfgig.export_saved_model(
            image_model(), tmp_path / "m", [tfgig.Endpoint("explain_gradient", Gradient())],
            lane=tfgig.Lane(at_once=at_once), warmup=(),
        )  # fmt: skip
        assert read_description(directory).lane == tfgig.Lane(at_once=at_once)
        operations = (directory / "saved_model.pb").read_bytes().count(b"BatchFunction")
        assert bool(operations) == bool(at_once)
        answer = RawSession(directory).run("explain_gradient", image=images(2))
        np.testing.assert_allclose(
            answer["attributions"], run_direct(Gradient(), images(2)), atol=1e-6
        )


def test_older_exports_have_no_lane(directory):
    file = directory / "assets.extra" / "tfgig.json"
    text = file.read_text()
    config = json.loads(text)
    assert config["lane"] == {"at_once": 1, "waiting": WAITING, "rows": 0}
    del config["lane"]
    try:
        file.write_text(json.dumps(config))
        assert read_description(directory).lane is None
    finally:
        file.write_text(text)


@pytest.mark.parametrize("wrong", [{"at_once": -1}, {"waiting": 0}, {"rows": -2}, {"rows": 1.5}])
def test_a_lane_is_checked(wrong):
    with pytest.raises(ValueError, match=r"must be at least \d\. Received"):
        tfgig.Lane(**wrong)


def test_the_attribute_is_still_the_one_that_tensorflow_knows():
    function = tf.function(lambda x: x, experimental_attributes=dict(AS_IS))
    assert function.get_concrete_function(tf.TensorSpec([])).function_def.attr[next(iter(AS_IS))].b
