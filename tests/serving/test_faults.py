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
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.cases import ROOT, images
from tests.serving.conftest import connect, options
from tfgig.serving import (
    Batching,
    Client,
    DeadlineExceeded,
    LocalServer,
    Overloaded,
    Unavailable,
)

IMAGES = images(1)


def idle(within=10.0):
    """Waits until this process computes nothing; whether it did."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        before = time.process_time()
        time.sleep(0.3)
        if time.process_time() - before < 0.1:
            return True
    return False


def test_a_deadline_stops_the_work(slow_server):
    """An explanation of hours ends at its deadline, and so does what it costs."""
    with connect(slow_server, "grpc", seconds=0.7) as client:
        client.signatures()
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            client.explain(IMAGES, "endless")
        assert time.monotonic() - started < 5
        assert caught.value.code.name == "DEADLINE_EXCEEDED"
    assert idle()


def test_the_bound_of_rest_requests(slow_server):
    body = {"instances": IMAGES.tolist(), "method": "endless"}
    url = f"{slow_server.rest_address}/v1/models/slow:explain"
    response = requests.post(url, data=json.dumps(body), timeout=30)
    assert response.status_code == 504
    assert "deadline" in response.json()["error"]
    assert idle()


def test_clients_that_go_away(slow_server):
    """What runs is bounded, what waits is dropped, and then others are answered."""
    place = urllib.parse.urlsplit(slow_server.rest_address)
    body = json.dumps({"instances": IMAGES.tolist(), "method": "endless"}).encode()
    head = f"POST /v1/models/slow:explain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    for _ in range(6):  # two run, four wait
        with socket.create_connection((place.hostname, place.port), 10) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            time.sleep(0.1)
    with connect(slow_server, "grpc") as client:
        assert client.explain(IMAGES, "gradient")["ok"].all()  # after at most two seconds
    address = f"{slow_server.rest_address}/monitoring/prometheus/metrics"
    text = requests.get(address, timeout=10).text
    gone = re.findall(r'requests_total\{code="CANCELLED",protocol="rest".*\} (\d+)', text)
    assert sum(map(int, gone)) == 6
    assert idle()


def test_a_full_queue(slow):
    """One explanation runs, one waits; the next is refused, and predictions go on."""
    batching = Batching(max_enqueued_batches=1, num_batch_threads=1)
    with (
        LocalServer(slow, options(batching=batching)) as server,
        connect(server, "grpc", seconds=10.0) as patient,
        ThreadPoolExecutor(2) as pool,
    ):
        clients = [connect(server, protocol) for protocol in ("grpc", "rest")]
        for client in clients:
            client.predict(IMAGES)
        patient.signatures()
        busy = [pool.submit(patient.explain, IMAGES, "endless") for _ in range(2)]
        while server.core.waiting < 1:
            time.sleep(0.01)
        for client, status in zip(clients, (8, 429), strict=True):
            with pytest.raises(Overloaded, match="1 requests wait") as caught:
                client.explain(IMAGES, "gradient")
            assert status in caught.value.code.value
            assert client.predict(IMAGES)["output_0"].shape == (1, 5)
        assert not any(request.done() for request in busy)
        server.stop(grace=0.1)
        for request in busy:
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
        assert time.monotonic() - started < 10
        with pytest.raises(Unavailable):
            running.result()


class Program:
    """The server as a program."""

    def __init__(self, base, *flags):
        code = "import sys; sys.argv[0] = 'tfgig-serve'; from tools.serve import run; run()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, f"--model_base_path={base}", *flags],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
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


def test_a_server_killed_in_mid_request_and_started_again(slow):
    program = Program(slow, "--port=0", "--rest_port=0")
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
    ports = [address.rpartition(":")[2] for address in addresses]
    program = Program(slow, f"--port={ports[0]}", f"--rest_port={ports[1]}")
    try:
        for address in addresses:
            client = Client(address, model="slow", retries=6)
            assert client.explain(IMAGES, "gradient")["ok"].all()
    finally:
        assert program.end() == 0  # it stops well when it is asked to
