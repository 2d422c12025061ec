"""Requests that are merged: the rows of each are what they are alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tfgig.serving.devserver.lanes import Lane

from tests.cases import images
from tests.serving.conftest import connect, eventually, options
from tfgig.serving import Batching, InvalidRequest, LocalServer, Overloaded, SessionModel
from tfgig.serving.devserver.batching import Task
from tfgig.serving.protocol.errors import DeadlineExceeded, Unavailable

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


def runs(server, lane):
    """How often the graph ran in a lane, and over how many rows."""
    found = {}
    for line in server.core.metrics.text()[0].decode().splitlines():
        for key in ("count", "sum"):
            if line.startswith(f'tfgig_serving_batch_rows_{key}{{lane="{lane}"}}'):
                found[key] = float(line.rpartition(" ")[2])
    return found["count"], found["sum"]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_merged_rows_are_those_of_single_requests(merging, direct, protocol):
    """Requests of one and two rows that all wait while another keeps the lane busy."""
    stub = Stub()
    stub.open.clear()
    expected = direct.run("explain_ig", image=IMAGES, target=np.arange(6) % 5)
    with connect(merging, protocol) as client:
        client.signatures()
        before = runs(merging, "explain")

        def call(i):
            rows = slice(i, i + 1) if i < 4 else slice(4, 6)
            target = (np.arange(6) % 5)[rows]
            return client.explain(IMAGES[rows], "ig", target=target), rows

        merging.core._lanes["explain"].submit(task(stub, 1, seconds=60))
        eventually(lambda: merging.core.waiting == 0)
        with ThreadPoolExecutor(5) as pool:
            answers = [pool.submit(call, i) for i in range(5)]
            eventually(lambda: merging.core.waiting == 5)
            stub.open.set()
        for answer in answers:
            found, rows = answer.result()
            assert_close(found, expected, rows)
        after = runs(merging, "explain")
    assert after[1] - before[1] == 1 + 6  # every row, once; padding is not counted
    assert after[0] - before[0] == 1 + 1  # and all in one run


def test_a_padded_row_changes_nothing(merging, direct):
    """One row, padded to four."""
    expected = direct.run("explain_ig", image=IMAGES[:1], target=[-1])
    with connect(merging, "grpc") as client:
        found = client.explain(IMAGES[:1], "ig")
    assert_close(found, expected, slice(None))


def test_a_bad_row_fails_nobody_else(merging, direct):
    """A NaN, a target that is none, and a request of the wrong shape, among good ones."""
    bad = IMAGES[:1].copy()
    bad[0, 2, 2, 1] = np.inf
    expected = direct.run("explain_ig", image=IMAGES, target=[-1] * 6)
    with connect(merging, "grpc") as client:
        client.signatures()

        def call(i):
            try:
                if i == 1:
                    return client.explain(bad, "ig")
                if i == 3:
                    return client.explain(IMAGES[3:4], "ig", target=77)
                if i == 4:
                    return client.predict({"image": IMAGES[:1, 1:], "target": [0]}, "explain_ig")
                return client.explain(IMAGES[i : i + 1], "ig")
            except (ValueError, InvalidRequest) as error:
                return error

        answers = together(6, call)
    for i in (0, 2, 5):
        assert_close(answers[i], expected, slice(i, i + 1))
    assert [type(answers[i]) for i in (1, 3, 4)] == [ValueError, ValueError, InvalidRequest]


def test_what_cannot_be_merged_is_refused(merging, protocol):
    with connect(merging, protocol) as client:
        with pytest.raises(InvalidRequest, match=r"at most max_batch_size=8 rows.*Received: 9"):
            client.predict(images(9))
        with connect(merging, protocol, max_rows=8) as splitting:
            assert splitting.predict(images(9))["output_0"].shape == (9, 5)
        with pytest.raises(InvalidRequest, match="the same number of rows"):
            client._transport.predict(
                client.signatures()["explain_ig"],
                "explain_ig",
                {"image": IMAGES[:2], "target": np.array([1])},
                (),
                30.0,
            ) if protocol == "grpc" else _rest_columns(merging, client)


def _rest_columns(server, client):
    from tests.serving.test_protocol import post

    body = {"inputs": {"image": IMAGES[:2].tolist(), "target": [1]}, "signature_name": "explain_ig"}
    raise InvalidRequest(post(server, ":predict", body, 400)["error"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_batch_size": 0}, "at least 1"),
        ({"batch_timeout_micros": -1}, "0 or more"),
        ({"allowed_batch_sizes": (2, 4)}, "the last is `max_batch_size`"),
        ({"allowed_batch_sizes": (8, 4, 8)}, "ascend"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Batching(**changes)


class Stub:
    """A servable whose model sums rows, slowly; it fails for the value 13."""

    def __init__(self, seconds=0.0):
        self.model = self
        self.seconds = seconds
        self.sizes = []
        self.open = threading.Event()
        self.open.set()

    def call(self, signature, inputs, outputs, seconds, background):
        self.open.wait(60)
        value = inputs["x"]
        self.sizes.append(len(value))
        if (value == 13).any():
            raise ValueError("thirteen")
        return {"sum": value.sum(1)}


def task(stub, rows, value=1.0, seconds=60.0, **changes):
    array = np.full((rows, 3), value)
    return Task(stub, "s", {"x": array}, (), time.monotonic() + seconds, **changes)


@pytest.fixture
def lane(request):
    made = []

    def make(**options):
        lane = Lane("test", Batching(**options))
        made.append(lane)
        lane.start()
        return lane

    yield make
    for found in made:
        found.stop()
        found.join(10)


def test_one_failing_request_of_a_batch_fails_alone(lane):
    """As with a file that is no image, where the graph fails and not the row."""
    stub = Stub()
    queue = lane(
        enabled=True, max_batch_size=3, batch_timeout_micros=10_000_000, num_batch_threads=1
    )
    tasks = [task(stub, 1, value) for value in (1.0, 13.0, 2.0)]
    for one in tasks:
        queue.submit(one)
    assert tasks[0].future.result(10)["sum"].tolist() == [3.0]
    assert tasks[2].future.result(10)["sum"].tolist() == [6.0]
    with pytest.raises(InvalidRequest, match="thirteen"):
        tasks[1].future.result(10)
    assert stub.sizes == [3, 1, 1, 1]


def test_batches_fill_up_without_waiting_and_keep_requests_whole(lane):
    stub = Stub()
    stub.open.clear()
    queue = lane(enabled=True, max_batch_size=4, batch_timeout_micros=0, num_batch_threads=1)
    first = task(stub, 1)
    queue.submit(first)
    eventually(lambda: not queue.waiting)
    tasks = [task(stub, rows, value) for rows, value in ((3, 1.0), (2, 2.0), (2, 3.0))]
    for one in tasks:
        queue.submit(one)
    stub.open.set()
    assert [one.future.result(10)["sum"].tolist() for one in tasks] == [
        [3.0] * 3,
        [6.0] * 2,
        [9.0] * 2,
    ]
    assert stub.sizes == [1, 3, 4]


def test_the_queue_is_bounded_and_forgets_who_has_gone(lane):
    stub, released = Stub(), []
    stub.open.clear()
    queue = lane(max_enqueued_batches=2, num_batch_threads=1)
    running = task(stub, 1, release=lambda: released.append("running"))
    queue.submit(running)
    eventually(lambda: not queue.waiting)
    gone = task(stub, 1, release=lambda: released.append("gone"))
    late = task(stub, 1, seconds=0.0, release=lambda: released.append("late"))
    queue.submit(gone)
    queue.submit(late)
    with pytest.raises(Overloaded, match="2 requests wait"):
        queue.submit(task(stub, 1))
    gone.future.cancel()
    running.future.cancel()  # it runs: its version must stay until it ends
    assert released == []
    stub.open.set()
    with pytest.raises(DeadlineExceeded):
        late.future.result(10)
    eventually(lambda: len(released) == 3)
    assert stub.sizes == [1]  # only what was running
    queue.stop()
    with pytest.raises(Unavailable):
        queue.submit(task(stub, 1))


@pytest.mark.parametrize("enabled", [False, True])
def test_idle_threads_are_room(enabled):
    """What they are about to take does not wait, however late they wake."""
    queue = Lane("test", Batching(enabled, max_batch_size=1, max_enqueued_batches=1))
    tasks = [task(Stub(), 1) for _ in range(3)]
    for one in tasks:
        queue.submit(one)  # two threads take two, and one waits
    with pytest.raises(Overloaded, match="3 requests wait"):
        queue.submit(task(Stub(), 1))
    queue.start()
    for one in tasks:
        assert one.future.result(60)["sum"].tolist() == [3.0]
    eventually(lambda: queue._idle == 2)
    queue.stop()
    queue.join(60)


def test_explanations_do_not_keep_predictions_waiting(slow):
    """Explanations that would take hours fill every thread of theirs; predictions go on."""
    with (
        LocalServer(slow, options()) as server,
        connect(server, "grpc", retries=0) as patient,
        connect(server, "grpc") as client,
        ThreadPoolExecutor(4) as pool,
    ):
        client.predict(IMAGES)
        patient.signatures()
        endless = [pool.submit(patient.explain, IMAGES[:1], "endless") for _ in range(4)]
        eventually(lambda: server.core.waiting == 2)
        found = client.predict(IMAGES)
        assert not any(one.done() for one in endless)
        server.stop(grace=0.1)
        for one in endless:
            with pytest.raises(Unavailable):
                one.result()
    with SessionModel(slow / "1") as model:
        expected = model.run("serving_default", image=IMAGES)
    np.testing.assert_allclose(found["output_0"], expected["output_0"], rtol=1e-5)
