"""Eight clients at once: every answer compared, a version published in the middle, none lost."""

import dataclasses
import shutil
import threading
import time

import numpy as np
import pytest

import tfgig
from tests import cases
from tfgig.serving import Batching, Client, LocalServer, ServerOptions, SessionModel

CLIENTS = 8
IMAGES = cases.images(24)
TARGETS = np.arange(24) % cases.CLASSES
METHODS = {"ig": tfgig.PathIntegral(steps=8), "gradient": tfgig.methods.Gradient()}
# What is asked, and how many of 16 requests ask it.
SHARES = {"predict": 10, "explain_gradient": 3, "explain_ig": 2, "heatmap_ig": 1}


@dataclasses.dataclass
class Answer:
    """One request and how it went."""

    what: str
    rows: slice
    outputs: dict
    seconds: float
    error: Exception | None = None


def ask(client, what, rows):
    if what == "predict":
        return client.predict(IMAGES[rows])
    kind, _, method = what.partition("_")
    if kind == "heatmap":
        return client.heatmap(IMAGES[rows], method)
    return client.explain(IMAGES[rows], method, target=TARGETS[rows])


def expected_of(directory):
    """Every answer of a version, computed directly, a row at a time in one batch."""
    with SessionModel(directory) as model:
        found = {"predict": model.run("serving_default", image=IMAGES)}
        for method in METHODS:
            name = f"explain_{method}"
            found[name] = model.run(name, image=IMAGES, target=TARGETS)
        found["heatmap_ig"] = model.run("heatmap_ig", image=IMAGES)
    return found


def is_right(answer, expected):
    for name, value in expected[answer.what].items():
        value, found = value[answer.rows], answer.outputs[name]
        if name == "heatmap_bytes":
            continue  # colours are rounded; what they are drawn from is compared
        if value.dtype.kind != "f":
            if not np.array_equal(found, value):
                return False
        elif not np.allclose(found, value, rtol=1e-3, atol=1e-4):
            return False
    return True


def load(seconds, base, incoming):
    """Asks for so many seconds, and as long as it takes to load what is published between."""
    batching = Batching(enabled=True, max_batch_size=8, batch_timeout_micros=1000)
    options = ServerOptions(
        port=0,
        rest_port=0,
        poll_seconds=0.2,
        batching=batching,
        grpc_max_threads=4 * CLIENTS,  # a call counts until its answer has left
    )
    answers, stop = [], threading.Event()
    with LocalServer(base, options) as server:

        def work(number):
            random = np.random.default_rng(number)
            choices = [what for what, share in SHARES.items() for _ in range(share)]
            address = server.rest_address if number % 4 == 3 else server.grpc_address
            with Client(address, model=server.name, retries=0) as client:
                while not stop.is_set():
                    what = choices[random.integers(len(choices))]
                    start = int(random.integers(len(IMAGES) - 4))
                    rows = slice(start, start + int(random.integers(1, 5)))
                    begin = time.perf_counter()
                    try:
                        outputs, error = ask(client, what, rows), None
                    except Exception as raised:  # any is a lost request
                        outputs, error = {}, raised
                    taken = time.perf_counter() - begin
                    answers.append(Answer(what, rows, outputs, taken, error))

        threads = [threading.Thread(target=work, args=[i]) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 2)
        incoming.rename(base / "2")
        until = time.monotonic() + 120  # a load takes its time beside eight clients
        while time.monotonic() < until:
            newest = server.core.versions.statuses()[0]
            if (newest.number, newest.state) == (2, "AVAILABLE"):
                break
            time.sleep(0.1)
        time.sleep(seconds / 2)
        stop.set()
        for thread in threads:
            thread.join()
        statuses = {status.number: status.state for status in server.core.versions.statuses()}
    return answers, statuses


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A version that is there, and one to come."""
    place = tmp_path_factory.mktemp("load")
    first = tfgig.export_saved_model(cases.image_model(), place / "model", METHODS)
    second = tfgig.export_saved_model(cases.image_model("sigmoid"), place / "next", METHODS)
    return first.parent, second, (expected_of(first), expected_of(second))


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_eight_clients_and_a_new_version(published, tmp_path, seconds):
    base, second, expected = published
    shutil.copytree(base, tmp_path / "model")
    shutil.copytree(second, tmp_path / "2")
    answers, statuses = load(seconds, tmp_path / "model", tmp_path / "2")
    report(answers, seconds)
    lost = [answer.error for answer in answers if answer.error is not None]
    assert not lost, f"{len(lost)} of {len(answers)} lost: {lost[0]!r}"
    of = [[is_right(answer, version) for version in expected] for answer in answers]
    wrong = [answer for answer, right in zip(answers, of, strict=True) if not any(right)]
    assert not wrong, f"{len(wrong)} of {len(answers)} wrong, such as {wrong[0].what}"
    assert set(SHARES) == {answer.what for answer in answers}
    assert statuses == {1: "END", 2: "AVAILABLE"}
    for version in (0, 1):  # both have answered
        assert any(right[version] and not right[1 - version] for right in of)


def report(answers, seconds):
    print(f"\n{len(answers)} requests of {CLIENTS} clients, {seconds} s and a load")
    for what in SHARES:
        taken = np.array([answer.seconds for answer in answers if answer.what == what]) * 1000
        if len(taken):
            median, high = np.percentile(taken, [50, 99])
            print(f"  {what:18} {len(taken):6}  median {median:7.1f} ms  99 % {high:7.1f} ms")
