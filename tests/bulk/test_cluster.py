"""A cluster of Spark on this machine: whatever is killed, each row is there once."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pq = pytest.importorskip("pyarrow.parquet")
pyspark = pytest.importorskip("pyspark", reason="the extra bulk is not installed")
from tests.bulk.test_bulk import answers, expected, explain, same  # noqa: E402
from tests.bulk.test_program import started, wait_for_parts  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("java") is None or not os.path.isdir("/proc"),
        reason="a cluster needs Java, and processes are found in /proc",
    ),
]
ROWS = 2000


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def below(pid):
    """The processes under a process and their commands, the nearest first."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
            command = (stat.parent / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        parents[int(stat.parent.name)] = (int(text.rpartition(")")[2].split()[1]), command)
    found, level = [], [pid]
    while level:
        level = [child for child, (parent, _) in parents.items() if parent in level]
        found += [(child, parents[child][1]) for child in level]
    return found


@pytest.fixture
def cluster(tmp_path):
    """Its address, and its workers' processes: one master, and two workers of one core each."""
    home = pathlib.Path(pyspark.__file__).parent
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    local = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
             "SPARK_DAEMON_MEMORY": "256m", "SPARK_WORKER_DIR": str(tmp_path / "work")}  # fmt: skip
    commands = [
        [f"{deploy}.master.Master", "--host=127.0.0.1", f"--port={port}", "--webui-port=0"],
        *[[f"{deploy}.worker.Worker", "--cores=1", "--memory=1g", "--webui-port=0", address]] * 2,
    ]
    running = []
    try:
        for command in commands:
            words = [word for flag in command for word in flag.split("=")]
            with (tmp_path / "cluster.log").open("ab") as log:
                running.append(
                    subprocess.Popen(
                        [str(home / "bin" / "spark-class"), *words],
                        env=local, stdout=log, stderr=log, start_new_session=True,
                    )
                )  # fmt: skip
        yield address, running[1:]
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def kill_one(workers, name):
    """Kills -9 the first process under a worker whose command has this name."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for worker in workers:
            for pid, command in reversed(below(worker.pid)):
                if name in command:
                    os.kill(pid, signal.SIGKILL)
                    return
        time.sleep(0.1)
    raise AssertionError(f"no process {name}")


def test_killed_worker_executor_and_driver(cluster, table_model, tmp_path):
    address, workers = cluster
    values = np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32)
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"numbers": values.tolist()}), rows)
    out = tmp_path / "out"
    settings = {"method": "ig", "batch": 5, "part_rows": 5}
    arguments = (
        f"--model={table_model}", f"--input={rows}", f"--output={out}", f"--master={address}",
        "--spark=spark.driver.host=127.0.0.1", "--spark=spark.ui.enabled=false",
        "--spark=spark.executor.memory=512m",
        "--method=ig", "--batch=5", "--part_rows=5", "--resume",
    )  # fmt: skip
    driver = started(*arguments)
    try:
        wait_for_parts(out, 10, driver)
        kill_one(workers, "pyspark.daemon")
        wait_for_parts(out, 40, driver)
        kill_one(workers, "CoarseGrainedExecutorBackend")
        wait_for_parts(out, 150, driver)
    finally:
        for pid, _ in below(driver.pid):  # Spark's own process of the driver
            os.kill(pid, signal.SIGKILL)
        driver.kill()
        driver.communicate()
    early = len(list((out / "explanations").iterdir()))
    assert early < ROWS / 5
    again = started(*arguments)
    _, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    table = answers(out)
    assert table["id"].to_pylist() == [f"rows.parquet:{i}" for i in range(ROWS)]
    same(table, expected(table_model, values))
    alone = explain(table_model, rows, tmp_path / "alone", **settings)
    np.testing.assert_allclose(table["score"].to_numpy(), alone["score"].to_numpy(), atol=1e-6)
