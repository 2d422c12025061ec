"""Calls in processes of their own: in order, bounded, nothing lost, and errors that say what."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time

import pytest

from tests import worker_calls
from tests.cases import ROOT
from tfgig.worker import WorkerTrace, alone
from tfgig.workers import TRIES, Call, Workers, all_made, cores


@pytest.fixture(scope="module")
def two():
    with Workers(2) as workers:
        yield workers


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("count", [0, 1])
def test_without_workers_all_is_called_here(count):
    with Workers(count) as workers:
        assert workers.submit("x", os.getpid).result() == os.getpid()
        assert list(workers.map(worker_calls.double, range(4))) == [0, 2, 4, 6]
        with pytest.raises(KeyError, match="nothing for 3"):
            workers.submit("x", worker_calls.fail, 3).result()


def test_answers_come_in_order_from_several_processes(two):
    answers = list(two.map(worker_calls.slow_then_fast, range(12)))
    assert [i for i, _ in answers] == list(range(12))
    pids = {pid for _, pid in answers}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_items_are_taken_as_they_are_needed(two):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    answers = two.map(worker_calls.double, items(), ahead=3)
    assert next(answers) == 0
    assert len(taken) == 4
    assert next(answers) == 2
    assert len(taken) == 5


def test_a_worker_imports_what_it_needs(two):
    assert two.submit("x", worker_calls.loaded, None).result() == set()


def test_a_function_may_still_ask_for_the_whole_library():
    with Workers(2) as workers:
        assert workers.submit("x", worker_calls.whole, None).result() == (
            "0.1.0",
            "tfgig.presets",
            True,
        )


def test_what_a_function_prints_is_no_answer(two):
    assert two.submit("x", worker_calls.noisy, 5).result() == 5


def test_an_error_is_raised_here_and_says_where(two):
    with pytest.raises(KeyError, match="nothing for 7") as caught:
        two.submit("image07.png, ig", worker_calls.fail, 7).result()
    assert isinstance(caught.value.__cause__, WorkerTrace)
    assert "'image07.png, ig'" in str(caught.value.__cause__)
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(RuntimeError, match="Unpicklable: 8"):
        two.submit("x", worker_calls.fail_unpicklably, 8).result()
    assert two.submit("x", worker_calls.double, 4).result() == 8


def test_a_call_whose_worker_dies_is_repeated(two, tmp_path):
    marker = tmp_path / "marker"
    others = [two.submit(str(i), worker_calls.double, i) for i in range(6)]
    assert two.submit("x", worker_calls.die_once, str(marker)).result() == "done"
    assert marker.exists()
    assert [future.result() for future in others] == [0, 2, 4, 6, 8, 10]


def test_a_call_that_kills_every_worker_is_an_error(two):
    told = rf"ended with status 3, {TRIES} times in a row.*Received: 'image03.png'"
    with pytest.raises(ChildProcessError, match=told):
        two.submit("image03.png", worker_calls.die, 3).result()
    with pytest.raises(ChildProcessError, match=r"killed by SIGKILL, as .* memory"):
        two.submit("x", worker_calls.kill_self).result()
    assert two.submit("x", worker_calls.double, 4).result() == 8


def test_what_cannot_be_sent_is_refused_at_once(two):
    with pytest.raises(ValueError, match=r"imported by name.*Received: .*lambda"):
        two.submit("x", lambda: 1)
    with pytest.raises(ValueError, match="arguments that can be pickled"):
        two.submit("x", worker_calls.double, lambda: 1)
    with pytest.raises(ValueError, match=r"at least 0. Received: -1"):
        Workers(-1)


def test_closing_ends_what_is_under_way():
    started = time.monotonic()
    with Workers(2) as workers:
        pids = [workers.submit("x", worker_calls.rest, 0).result() for _ in range(2)]
        under_way = [workers.submit("x", worker_calls.rest, 300) for _ in range(4)]
        time.sleep(0.1)
    assert time.monotonic() - started < 60
    assert not any(alive(pid) for pid in pids)
    for future in under_way:
        assert future.done()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
    workers.close()


def test_workers_end_with_a_program_that_is_killed():
    with Workers(2) as workers:
        program, its_worker = workers.submit("x", worker_calls.with_a_worker_of_its_own).result()
        assert alive(its_worker)
        os.kill(program, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while alive(its_worker):
            assert time.monotonic() < deadline
            time.sleep(0.02)


# A program with workers that is told to end so many seconds after the first of them was started.
TOLD = """
import hashlib, os, signal, sys, threading, types
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
sys.path.insert(0, "")
for name, folder in (("tfgig", "tfgig"), ("tfgig_tools", "tools")):  # without importing TensorFlow
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from tests import worker_calls
from tfgig import worker, workers
from tfgig_tools import ending
ending.end_when_told()
number, seconds = getattr(signal, sys.argv[1]), float(sys.argv[2])
start = worker.Worker.__init__

def started(self):
    start(self)
    threading.Timer(seconds, os.killpg, (0, number)).start()

worker.Worker.__init__ = started
with workers.Workers(2) as two:
    two.submit("x", worker_calls.double, 1), two.submit("x", worker_calls.double, 1)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000)  # as TensorFlow computes, it does not listen
    two.submit("x", worker_calls.rest, 300).result()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_a_worker_starts_leaves_one_line_and_no_trace(name):
    """As a terminal sends it, to the whole group; before, while and after a worker imports."""
    number = getattr(signal, name)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TOLD, name, str(seconds)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for seconds in (0.0, 0.05, 0.1, 0.2, 0.4)
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert errors == {"SIGINT": "Interrupted.\n", "SIGTERM": "Ended.\n"}[name]
        assert process.returncode == 128 + number


def test_a_call_of_a_process_of_its_own_may_die_or_never_return():
    assert alone("x", 60, worker_calls.double, 3) == 6
    with pytest.raises(KeyError, match="nothing for 3"):
        alone("x", 60, worker_calls.fail, 3)
    with pytest.raises(ChildProcessError, match="was killed by SIGKILL"):
        alone("x", 60, worker_calls.kill_self)
    with pytest.raises(ChildProcessError, match="did not return in 1 s"):
        alone("x", 1, worker_calls.rest, 60)


def test_what_calls_have_in_common_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(worker_calls, "double", lambda number: made.append(number) or 2 * number)
    first = Call(worker_calls.double, (3,))
    second = Call(worker_calls.double, (first,))
    assert all_made([second, first, second]) == [12, 6, 12]
    assert made == [3, 6]


def test_there_is_a_core():
    assert 1 <= cores() <= os.cpu_count()
