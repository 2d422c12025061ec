"""Versions that come and go under a running server."""

import shutil
import threading
import time

import numpy as np
import pytest

import tfgig
from tests import cases
from tests.serving.conftest import connect, eventually, options, write_records
from tfgig.exported.directory import latest
from tfgig.serving import (
    Client,
    Code,
    InvalidRequest,
    LocalServer,
    NotFound,
    ServingError,
    SessionModel,
)
from tfgig.serving.devserver.core import load_warm
from tfgig.serving.devserver.versions import Versions
from tfgig.serving.protocol.records import Model as Asked

IMAGES = cases.images(2)


@pytest.fixture
def base(exported, tmp_path):
    """A directory of its own with version 1."""
    shutil.copytree(exported / "1", tmp_path / "model" / "1")
    return tmp_path / "model"


def states(versions):
    return {status.number: status.state for status in versions.statuses()}


class Model:
    """A stand-in for a loaded version."""

    def __init__(self, directory):
        if not (directory / "saved_model.pb").exists():
            raise FileNotFoundError("There is no saved_model.pb.")
        self.number = int(directory.name)
        self.signatures = {}
        self.closed = False

    def close(self):
        self.closed = True


def leased(versions, number=None, label=None):
    """The number of the version that such a request gets."""
    with versions.lease(Asked("m", number, label)) as servable:
        return servable.number


def add(base, *numbers):
    for number in numbers:
        (base / str(number)).mkdir(parents=True)
        (base / str(number) / "saved_model.pb").write_text("")


def test_the_newest_is_served_and_the_old_one_ends_with_its_last_request(tmp_path):
    add(tmp_path, 1, 2)
    versions = Versions(tmp_path, "m", Model)
    versions.poll()
    assert states(versions) == {2: "AVAILABLE"}
    with versions.lease(Asked("m")) as used:
        assert used.number == 2
        add(tmp_path, 10)
        versions.poll()
        assert states(versions) == {10: "AVAILABLE", 2: "UNLOADING"}
        assert leased(versions) == 10
        with pytest.raises(NotFound, match=r"Servable not found for request: Specific\(m, 2\)"):
            leased(versions, 2)
        assert not used.model.closed
    assert used.model.closed
    assert states(versions)[2] == "END"


def test_a_broken_version_leaves_the_old_one_and_is_tried_again_when_it_changes(tmp_path):
    add(tmp_path, 1)
    tries = []

    def load(directory):
        tries.append(directory.name)
        return Model(directory)

    versions = Versions(tmp_path, "m", load)
    versions.poll()
    (tmp_path / "2").mkdir()
    for _ in range(3):
        versions.poll()
    assert leased(versions) == 1
    status = versions.statuses()[0]
    assert (status.number, status.state, status.code.name) == (2, "END", "NOT_FOUND")
    assert "no saved_model.pb" in status.message
    assert tries == ["1", "2"]
    (tmp_path / "2" / "saved_model.pb").write_text("")
    versions.poll()
    assert states(versions) == {2: "AVAILABLE", 1: "END"}
    shutil.rmtree(tmp_path / "2")
    versions.poll()
    assert leased(versions) == 1
    shutil.rmtree(tmp_path / "1")
    versions.poll()
    assert leased(versions) == 1  # nothing takes its place


def test_labels_and_the_newest_few(tmp_path):
    add(tmp_path, 1, 2, 3, 4)
    versions = Versions(tmp_path, "m", Model, keep=2, labels={"stable": 1, "next": 9})
    versions.poll()
    assert states(versions) == dict.fromkeys((1, 3, 4), "AVAILABLE")
    assert leased(versions, label="stable") == 1
    assert leased(versions) == 4
    with pytest.raises(NotFound, match=r"Specific\(m, 9\)"):
        leased(versions, label="next")
    with pytest.raises(InvalidRequest, match="Unrecognized servable version label: old"):
        leased(versions, label="old")


def test_names_with_zeros_in_front(tmp_path):
    """TensorFlow Serving reads them as numbers."""
    (tmp_path / "00000123").mkdir()
    (tmp_path / "00000123" / "saved_model.pb").write_text("")
    versions = Versions(tmp_path, "m", Model)
    versions.poll()
    assert states(versions) == {123: "AVAILABLE"}
    assert latest(tmp_path) == tmp_path / "00000123"


def test_numbers_of_more_than_64_bits_are_no_versions(tmp_path):
    add(tmp_path, 1, 2**63 - 1, 2**63, 10**20)
    versions = Versions(tmp_path, "m", Model)
    versions.poll()
    assert states(versions) == {2**63 - 1: "AVAILABLE"}


def test_nothing_to_serve(tmp_path):
    versions = Versions(tmp_path, "m", Model)
    versions.poll()
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(m\)"):
        leased(versions)


def test_a_broken_version_is_loading_through_its_retries(tmp_path):
    """As in TensorFlow Serving: five times in as many minutes, with no word of what is wrong."""
    add(tmp_path, 1)
    (tmp_path / "2").mkdir()
    versions = Versions(tmp_path, "m", Model, retries=2, retry_seconds=0.2)
    versions.poll()
    with pytest.raises(NotFound):
        leased(versions)
    started = time.monotonic()
    while versions.statuses()[0].state == "LOADING":
        (status,) = versions.statuses()
        assert (status.number, status.code, status.message) == (2, Code.OK, "")
        time.sleep(0.02)
        versions.poll()
    assert time.monotonic() - started > 0.35
    assert versions.statuses()[0].code is Code.NOT_FOUND


def test_a_server_without_a_good_version_does_not_start(tmp_path):
    (tmp_path / "2").mkdir()
    server = LocalServer(tmp_path, options(max_num_load_retries=1, load_retry_seconds=0.1))
    with pytest.raises(OSError, match=r"No version of .* can be loaded. Could not find SavedModel"):
        server.start()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda version: shutil.rmtree(version / "variables"), Code.FAILED_PRECONDITION),
        (lambda version: (version / "saved_model.pb").unlink(), Code.NOT_FOUND),
    ],
)
def test_what_is_missing_has_tensorflow_servings_code(base, damage, code):
    damage(base / "1")
    versions = Versions(base, "m", load_warm)
    versions.poll()
    assert versions.statuses()[0].code is code


def truncate_variables(version):
    (data,) = (version / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:100])


def truncate_graph(version):
    path = version / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-1000])


def remove_variables(version):
    shutil.rmtree(version / "variables")


@pytest.mark.parametrize("damage", [truncate_variables, truncate_graph, remove_variables])
def test_a_truncated_version_is_not_taken_up(base, damage):
    damage(base / "1")
    with pytest.raises(ServingError, match=r"may be incomplete|copy it again"):
        load_warm(base / "1")


def test_a_warmup_record_that_fails_fails_the_load(base):
    wrong = {"image": np.zeros([1, 3, 3, 3], np.float32), "target": np.zeros([1], np.int64)}
    write_records(base / "1", ("explain_ig", wrong))
    with pytest.raises(InvalidRequest, match="shape"):
        load_warm(base / "1")


def test_a_switch_under_load_loses_nothing_and_a_broken_version_changes_nothing(base):
    """Both protocols ask all the time; every answer is right, and of one version or the other."""
    other = cases.image_model("sigmoid")
    next_one = tfgig.export_saved_model(other, base.with_name("next"), ["gradient"], version=3)
    with LocalServer(base, options(name="model", max_num_load_retries=0)) as server:
        with SessionModel(base / "1") as first:
            expected = {1: first.run("serving_default", image=IMAGES)["output_0"]}
        stop, errors, answers = threading.Event(), [], []

        def ask(protocol):
            with connect(server, protocol, retries=0) as client:
                while not stop.is_set():
                    try:
                        answers.append(client.predict(IMAGES)["output_0"])
                        time.sleep(0.005)  # and leaves the export some of the machine
                    except Exception as error:  # any is a lost request
                        errors.append(error)

        threads = [threading.Thread(target=ask, args=[p]) for p in ("grpc", "rest", "grpc")]
        for thread in threads:
            thread.start()
        eventually(lambda: answers)
        broken = base / ".incoming"
        shutil.copytree(base / "1", broken)
        truncate_variables(broken)
        broken.rename(base / "2")
        wait_for(server, 2, "END")
        next_one.rename(base / "3")
        wait_for(server, 3, "AVAILABLE")
        wait_for(server, 1, "END")
        answered = len(answers)
        eventually(lambda: len(answers) > answered + 3)  # one may be of before
        stop.set()
        for thread in threads:
            thread.join()
        with SessionModel(base / "3") as third:
            expected[3] = third.run("serving_default", image=IMAGES)["output_0"]
        with Client(server.grpc_address, model="model") as client:
            statuses = {status.number: status for status in client.statuses()}
    assert not errors
    of = [min(expected, key=lambda number: np.abs(expected[number] - a).max()) for a in answers]
    assert set(of) == {1, 3}
    for number, answer in zip(of, answers, strict=True):
        np.testing.assert_allclose(answer, expected[number], rtol=1e-5)
    assert statuses[2].state == "END"
    assert statuses[2].message
    assert statuses[2].code.name != "OK"


def wait_for(server, number, state, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if states(server.core.versions).get(number) == state:
            return
        time.sleep(0.05)
    pytest.fail(f"{number} is not {state}: {server.core.versions.statuses()}")
