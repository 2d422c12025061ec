"""What happens when things break: each fault has its status, and the server lives on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest
import requests

from tests.cases import ROOT, images
from tests.serving.conftest import connect
from tfgig.serving import Client, DeadlineExceeded, Unavailable

IMAGES = images(1)


def process_seconds():
    return time.process_time()


def test_a_deadline_stops_the_work(slow_server, protocol):
    """An explanation of hours ends at its deadline, and so does what it costs."""
    with connect(slow_server, protocol, seconds=0.7) as client:
        client.signatures()
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            client.explain(IMAGES, "endless")
        assert time.monotonic() - started < 5
        assert caught.value.code.name == "DEADLINE_EXCEEDED"


def idle(within=5.0):
    """Waits until this process computes nothing."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        before = time.process_time()
        time.sleep(0.3)
        if time.process_time() - before < 0.1:
            return True
    return False


def test_nothing_goes_on_computing_after_a_deadline(slow_server):
    with connect(slow_server, "grpc", seconds=0.5) as client:
        client.signatures()
        with pytest.raises(DeadlineExceeded):
            client.explain(IMAGES, "endless")
    assert idle()


def test_the_bound_of_rest_requests(slow):
    from tests.serving.conftest import options
    from tfgig.serving import LocalServer

    with LocalServer(slow, options(rest_seconds=0.5)) as server:
        body = {"instances": IMAGES.tolist(), "method": "endless"}
        url = f"{server.rest_address}/v1/models/slow:explain"
        response = requests.post(url, data=json.dumps(body), timeout=30)
        assert response.status_code == 504
        assert "deadline" in response.json()["error"]
        assert idle()


def test_clients_that_go_away(slow):
    """What runs is bounded, what waits is dropped, and the server answers others at once."""
    from tests.serving.conftest import options
    from tfgig.serving import LocalServer

    with LocalServer(slow, options(rest_seconds=2.0)) as server:
        place = urllib.parse.urlsplit(server.rest_address)
        body = json.dumps({"instances": IMAGES.tolist(), "method": "endless"}).encode()
        head = f"POST /v1/models/slow:explain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        for _ in range(6):  # two run, four wait
            with socket.create_connection((place.hostname, place.port), 10) as connection:
                connection.sendall(head.encode() + body)
                time.sleep(0.1)
        time.sleep(0.3)
        text = requests.get(f"{server.rest_address}/monitoring/prometheus/metrics", timeout=10).text
        gone = re.search(r'requests_total\{code="CANCELLED".*\} (\d+)', text)
        assert gone
        assert int(gone[1]) == 6
        with connect(server, "grpc") as client:
            assert client.explain(IMAGES, "gradient")["ok"].all()  # after at most two seconds
        assert idle()


class Program:
    """The server as a program."""

    def __init__(self, base, *flags):
        code = "import sys; sys.argv[0] = 'tfgig-serve'; from tools.serve import run; run()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, f"--model_base_path={base}", *flags],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("Serving"):
                break
        text = "".join(self.lines)
        self.grpc = re.search(r"gRPC\s+(\S+)", text)[1]
        self.rest = re.search(r"(http://\S+?:\d+)", text)[1]
        self.port = self.grpc.rpartition(":")[2]

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(30)
        self.process.stdout.close()
        return status


def test_a_server_killed_in_mid_request_and_started_again(slow, protocol):
    program = Program(slow, "--port=0", "--rest_port=0")
    address = program.grpc if protocol == "grpc" else program.rest
    client = Client(address, model="slow", retries=0, seconds=60)
    client.signatures()
    errors = []

    def ask():
        try:
            client.explain(IMAGES, "endless")
        except Exception as error:  # which one is what is tested
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1.0)
    assert program.end(signal.SIGKILL) == -signal.SIGKILL
    asking.join(30)
    assert [type(error) for error in errors] == [Unavailable]
    rest_port = program.rest.rpartition(":")[2]
    program = Program(slow, f"--port={program.port}", f"--rest_port={rest_port}")
    try:
        patient = Client(address, model="slow", retries=6, seconds=60)
        assert patient.explain(IMAGES, "gradient")["ok"].all()
    finally:
        assert program.end() == 0  # it stops well when it is asked to
