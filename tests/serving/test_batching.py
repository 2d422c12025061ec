"""Requests that are merged as TensorFlow Serving merges them, with what comes of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from tests.cases import images
from tests.serving.conftest import connect, eventually, options
from tfgig.exported.description import read_description
from tfgig.serving import (
    Batching,
    Code,
    InvalidRequest,
    LocalServer,
    Overloaded,
    ServingError,
    Unavailable,
)
from tfgig.serving.deployment.services import one_server
from tfgig.serving.devserver.batching import Scheduler
from tfgig.serving.devserver.merging import merged

IMAGES = images(6)


def assert_close(found, expected, rows):
    for name, value in expected.items():
        value = value[rows]
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def together(count, call):
    """Calls from so many threads at once."""
    barrier = threading.Barrier(count)

    def one(i):
        barrier.wait()
        return call(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_merged_rows_are_those_of_single_requests(merging, direct):
    expected = direct.run("explain_ig", image=IMAGES, target=np.arange(6) % 5)
    with connect(merging, "grpc") as client:
        client.signatures()

        def call(i):
            rows = slice(i, i + 1) if i < 4 else slice(4, 6)
            return client.explain(IMAGES[rows], "ig", target=(np.arange(6) % 5)[rows]), rows

        for found, rows in together(5, call):
            assert_close(found, expected, rows)


def test_a_padded_row_changes_nothing(merging, direct):
    """One row, padded to four."""
    expected = direct.run("explain_ig", image=IMAGES[:1], target=[-1])
    with connect(merging, "grpc") as client:
        found = client.explain(IMAGES[:1], "ig")
    assert_close(found, expected, slice(None))


def test_what_cannot_be_merged_is_refused(merging):
    with connect(merging, "grpc") as client:
        definition = client.signatures()["explain_ig"]

        def ask(**inputs):
            return client._transport.predict(definition, "explain_ig", inputs, (), 30.0)

        many = {"image": images(9), "target": np.zeros(9, np.int64)}
        with pytest.raises(InvalidRequest, match="Task size 9 is larger than maximum input batch"):
            ask(**many)
        equal = r"Batching Run\(\) input tensors must have equal 0th-dimension size"
        with pytest.raises(InvalidRequest, match=equal):
            ask(image=IMAGES[:2], target=np.array([1]))
        with pytest.raises(InvalidRequest, match=equal):
            ask(image=IMAGES[:2])  # the default is one row
        with pytest.raises(InvalidRequest, match="must have at least one dimension"):
            ask(image=IMAGES[:1], target=np.array(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_batch_size": 0}, "at least 1"),
        ({"batch_timeout_micros": -1}, "at least 0"),
        ({"max_batch_size": 8, "allowed_batch_sizes": (2, 4)}, "end with `max_batch_size`"),
        ({"max_batch_size": 8, "allowed_batch_sizes": (8, 4, 8)}, "ascend"),
        ({"max_batch_size": 8, "max_execution_batch_size": 9}, "1 to `max_batch_size`"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Batching(**changes)


def test_explanations_answer_rightly_behind_batching_and_a_lane(exported, direct):
    """As tfgig-config has it: explanations of several signatures at once, and predictions."""
    (service,) = one_server(2, lane=read_description(exported / "1").lane)
    serving = options(batching=service.batching, tensorflow_inter_op_parallelism=service.inter_op)
    image, target = images(2), np.array([1, 3])
    expected = {
        "explain_ig": direct.run("explain_ig", image=image, target=target),
        "explain_gradient": direct.run("explain_gradient", image=image, target=target),
        "heatmap_ig": direct.run("heatmap_ig", image=image),
        "serving_default": direct.run("serving_default", image=image),
    }
    names = [*expected, "explain_ig", "serving_default"] * 2
    with LocalServer(exported, serving) as server, connect(server, "grpc", retries=20) as client:
        client.signatures()

        def call(i):
            inputs = {"image": image}
            if names[i].startswith("explain"):
                inputs["target"] = target
            return client.predict(inputs, names[i])

        for name, found in zip(names, together(len(names), call), strict=True):
            assert_close(found, expected[name], slice(None))


def test_predictions_pass_explanations_that_fill_the_lane(slow):
    """Those in the lane hold batch threads; predictions have others, and one too many is 503."""
    (service,) = one_server(2)
    serving = options(
        batching=service.batching,
        tensorflow_inter_op_parallelism=service.inter_op,
        grpc_max_threads=16,
    )
    with (
        LocalServer(slow, serving) as server,
        connect(server, "grpc", seconds=30) as client,
        connect(server, "grpc", retries=0) as impatient,
        ThreadPoolExecutor(7) as pool,
    ):
        client.predict(IMAGES[:1])
        # Each is a batch of its own, for it has as many rows as one takes.
        rows = images(service.batching.max_batch_size)
        ends = [pool.submit(impatient.explain, rows, "endless") for _ in range(7)]
        eventually(lambda: sum(end.done() for end in ends) == 2)  # 1 runs, 4 wait
        assert all(isinstance(end.exception(), Unavailable) for end in ends if end.done())
        assert client.predict(IMAGES)["output_0"].shape == (6, 5)
        assert sum(end.done() for end in ends) == 2
        server.stop()
    assert all(isinstance(end.exception(), ServingError) for end in ends)


class Stub:
    """A servable whose model sums rows, once it is let; it fails for the value 13."""

    closed = False

    def __init__(self):
        self.model = self
        self.begun, self.sizes = 0, []
        self.open = threading.Event()
        self.open.set()
        definition = meta_graph_pb2.SignatureDef()
        definition.inputs["x"].name = "x:0"
        definition.inputs["x"].dtype = 2  # float64
        definition.inputs["x"].tensor_shape.unknown_rank = True
        self.signatures = {"s": definition}

    def call(self, signature, inputs, outputs, seconds):
        self.begun += 1
        self.open.wait(60)
        value = inputs["x"]
        self.sizes.append(len(value))
        if (value == 13).any():
            raise ValueError("thirteen")
        return {"sum": value.sum(1)}


@pytest.fixture
def scheduled():
    """Makes a scheduler, and what starts a request of it in a thread."""
    with ThreadPoolExecutor(16) as pool:
        made = []

        def make(stub, **options):
            scheduler = Scheduler(Batching(True, num_batch_threads=1, **options))
            made.append(scheduler)
            scheduler.start()

            def ask(rows, value=1.0, seconds=60.0, width=3, dtype=np.float64):
                waiting, begun = scheduler.waiting, stub.begun

                def taken():
                    return scheduler.waiting > waiting or stub.begun > begun

                array = np.full((rows, width), value, dtype)
                found = pool.submit(scheduler.execute, stub, "s", {"x": array}, (), seconds)
                eventually(lambda: found.done() or taken() or stub.open.is_set())
                return found

            return scheduler, ask

        yield make
        for scheduler in made:
            scheduler.stop()
            scheduler.join(10)


def running(stub, scheduler, ask):
    """A request that runs, and keeps the only thread."""
    stub.open.clear()
    first = ask(1)
    eventually(lambda: stub.begun > 0 and scheduler.waiting == 0)
    return first


def test_a_failing_request_fails_all_of_its_batch(scheduled):
    stub = Stub()
    scheduler, ask = scheduled(stub, max_batch_size=3)
    first = running(stub, scheduler, ask)
    others = [ask(1, value) for value in (1.0, 13.0, 2.0)]
    stub.open.set()
    assert first.result(30)["sum"].tolist() == [3.0]
    for request in others:
        with pytest.raises(InvalidRequest, match="thirteen"):
            request.result(30)
    assert stub.sizes == [1, 3]


def test_batches_fill_up_and_keep_requests_whole(scheduled):
    stub = Stub()
    scheduler, ask = scheduled(stub, max_batch_size=4)
    running(stub, scheduler, ask)
    requests = [ask(rows, value) for rows, value in ((3, 1.0), (2, 2.0), (2, 3.0))]
    stub.open.set()
    found = [request.result(30)["sum"].tolist() for request in requests]
    assert found == [[3.0] * 3, [6.0] * 2, [9.0] * 2]
    assert stub.sizes == [1, 3, 4]


def test_large_requests_are_split_where_that_is_enabled(scheduled):
    stub = Stub()
    split = {"enable_large_batch_splitting": True, "max_execution_batch_size": 4}
    scheduler, ask = scheduled(stub, max_batch_size=16, **split)
    running(stub, scheduler, ask)
    small, large = ask(3), ask(6, 2.0)
    stub.open.set()
    assert small.result(30)["sum"].tolist() == [3.0] * 3
    assert large.result(30)["sum"].tolist() == [6.0] * 6
    assert stub.sizes == [1, 4, 4, 1]


def test_a_full_queue_is_unavailable(scheduled):
    stub = Stub()
    scheduler, ask = scheduled(stub, max_batch_size=1, max_enqueued_batches=2)
    first = running(stub, scheduler, ask)
    waiting = [ask(1), ask(1)]
    with pytest.raises(Unavailable, match="is full; currently 2 batches enqueued") as caught:
        ask(1).result(30)
    assert caught.value.code.http == 503
    stub.open.set()
    for request in (first, *waiting):
        assert request.result(30)["sum"].tolist() == [3.0]


def test_time_that_runs_out_in_the_queue(scheduled):
    stub = Stub()
    scheduler, ask = scheduled(stub, max_batch_size=1)
    running(stub, scheduler, ask)
    late = ask(1, seconds=0.05)
    time.sleep(0.1)
    stub.open.set()
    with pytest.raises(Overloaded, match="timeout exceeded while waiting in batching queue"):
        late.result(30)


def test_no_rows_wait_for_others(scheduled):
    stub = Stub()
    _, ask = scheduled(stub, max_batch_size=4)
    empty = ask(0)
    time.sleep(0.2)
    assert not empty.done()
    assert ask(1).result(30)["sum"].tolist() == [3.0]
    assert empty.result(30)["sum"].tolist() == []
    with pytest.raises(Overloaded):
        ask(0, seconds=0.1).result(30)  # in TensorFlow Serving it would wait for ever


def definition_of():
    return Stub().signatures["s"]


def test_requests_of_different_shapes_fail_each_other():
    requests = [{"x": np.zeros([1, 2])}, {"x": np.zeros([1, 3])}]
    with pytest.raises(InvalidRequest, match="have different shapes and padding is turned off"):
        merged(requests, definition_of(), 0, False)
    requests = [{"x": np.zeros([1, 2])}, {"x": np.zeros([1, 2], np.float32)}]
    with pytest.raises(ServingError, match="Tensor concat operation failed") as caught:
        merged(requests, definition_of(), 0, False)
    assert caught.value.code is Code.INTERNAL


def test_padding_of_rows_and_of_lengths():
    """A row that is padded in is the last request's first; a length, a request's first value."""
    requests = [{"x": np.array([[1.0, 2.0]])}, {"x": np.array([[3.0], [4.0]])}]
    found = merged(requests, definition_of(), 1, True)["x"]
    assert found.tolist() == [[1, 2], [3, 3], [4, 3], [3, 3]]
    with pytest.raises(ServingError, match="differ in rank"):
        merged([{"x": np.zeros([1])}, {"x": np.zeros([1, 2])}], definition_of(), 0, True)
