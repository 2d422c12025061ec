"""What happens when things break: each fault has its status, and the server lives on."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.cases import ROOT, images
from tests.serving.conftest import connect, eventually, options
from tfgig.serving import Client, DeadlineExceeded, LocalServer, Unavailable

IMAGES = images(1)


def idle(within=30.0):
    """Waits until this process computes nothing; whether it did."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        before = time.process_time()
        time.sleep(0.3)
        if time.process_time() - before < 0.2:  # other servers look for versions meanwhile
            return True
    return False


def test_a_deadline_stops_the_work(slow_server):
    """An explanation of hours ends at its deadline, and so does what it costs."""
    with connect(slow_server, "grpc") as client:
        client.signatures()
        client._seconds = 0.7
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            client.explain(IMAGES, "endless")
        assert time.monotonic() - started < 20
        assert caught.value.code.name == "DEADLINE_EXCEEDED"
    assert idle()


def test_the_bound_of_rest_requests(slow_server):
    body = {"instances": IMAGES.tolist(), "method": "endless"}
    url = f"{slow_server.rest_address}/v1/models/slow:explain"
    response = requests.post(url, data=json.dumps(body), timeout=30)
    assert response.status_code == 504
    assert response.json()["error"] == "Timed out waiting for notification"
    assert idle()


def busy(server):
    """How many requests are under way."""
    return sum(servable.users for servable in server.core.versions._open)


def test_clients_that_go_away(slow):
    """What they asked for ends with its time, and then others are answered."""
    body = json.dumps({"instances": IMAGES.tolist(), "method": "endless"}).encode()
    head = f"POST /v1/models/slow:explain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    with LocalServer(slow, options(rest_seconds=4.0)) as server:
        place = urllib.parse.urlsplit(server.rest_address)
        for _ in range(6):  # one runs, the lane lets four wait, and refuses the last
            with socket.create_connection((place.hostname, place.port), 10) as connection:
                connection.sendall(head.encode() + b"\r\n\r\n" + body)
                time.sleep(0.1)
        eventually(lambda: busy(server) == 0)
        with connect(server, "grpc") as client:
            assert client.explain(IMAGES, "gradient")["ok"].all()
        assert idle()


def test_a_full_lane(slow):
    """One explanation runs, four wait; the next is refused at once, and predictions go on."""
    with (
        LocalServer(slow, options(rest_seconds=100)) as server,
        connect(server, "grpc", retries=0) as patient,
        ThreadPoolExecutor(5) as pool,
    ):
        patient.predict(IMAGES)
        for method in ("endless", "gradient"):  # a first call is some time on its way to the lane
            with pytest.raises(ValueError, match="Rows cannot be explained"):
                patient.explain(float("nan") * IMAGES, method)
        under_way = [pool.submit(patient.explain, IMAGES, "endless") for _ in range(5)]
        eventually(lambda: busy(server) == 5)
        time.sleep(1.0)
        for protocol in ("grpc", "rest"):
            with connect(server, protocol, retries=0) as client:
                with pytest.raises(Unavailable, match=r"scheduling queue.* is full"):
                    client.explain(IMAGES, "gradient")
                assert client.predict(IMAGES)["output_0"].shape == (1, 5)
        assert not any(request.done() for request in under_way)
        server.stop(grace=0.1)
        for request in under_way:
            with pytest.raises(Unavailable):
                request.result()


def test_a_server_that_stops_ends_what_runs(slow, protocol):
    server = LocalServer(slow, options(rest_seconds=100)).start()
    client = connect(server, protocol, retries=0)
    client.signatures()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.explain, IMAGES, "endless")
        time.sleep(1.0)
        started = time.monotonic()
        server.stop(grace=0.2)
        assert time.monotonic() - started < 30
        with pytest.raises(Unavailable):
            running.result()


class Program:
    """The server as a program, once it serves."""

    def __init__(self, base, *flags, seconds=120.0):
        code = "import sys; sys.argv[0] = 'tfgig-serve'; from tools.serve import run; run()"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by end
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, f"--model_base_path={base}", *flags],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        limit = threading.Timer(seconds, self.process.kill)
        limit.start()
        text = ""
        for line in self.process.stdout:
            text += line
            if line.startswith("Serving"):
                break
        limit.cancel()
        found = re.search(r"gRPC\s+(\S+)\s+REST\s+(http://\S+?:\d+)", text)
        if found is None:
            self.end(signal.SIGKILL)
            pytest.fail(f"It does not serve: {text}{self.said}")
        self.grpc, self.rest = found.groups()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(60)
        self.process.stdout.close()
        self.errors.seek(0)
        self.said = self.errors.read()
        self.errors.close()
        return status


def free_ports(count):
    """Ports that no one has, and that the system gives to no one who asks for a free one."""
    found = []
    for port in random.sample(range(20_000, 30_000), 1000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    pytest.fail("There are no free ports.")


def test_a_server_killed_in_mid_request_and_started_again(slow):
    ports = free_ports(2)
    flags = (f"--port={ports[0]}", f"--rest_api_port={ports[1]}")
    program = Program(slow, *flags)
    addresses = (program.grpc, program.rest)
    errors = []

    def ask(client):
        try:
            client.explain(IMAGES, "endless")
        except Exception as error:  # which one is what is tested
            errors.append(error)

    clients = [Client(address, model="slow", retries=0) for address in addresses]
    for client in clients:
        client.signatures()
    asking = [threading.Thread(target=ask, args=[client]) for client in clients]
    for thread in asking:
        thread.start()
    time.sleep(1.0)
    assert program.end(signal.SIGKILL) == -signal.SIGKILL
    for thread in asking:
        thread.join(30)
    assert [type(error) for error in errors] == [Unavailable, Unavailable]
    program = Program(slow, *flags)  # at the same ports
    try:
        for address in addresses:
            client = Client(address, model="slow", retries=6)
            assert client.explain(IMAGES, "gradient")["ok"].all()
    finally:
        assert program.end() == 0  # it stops well when it is asked to
