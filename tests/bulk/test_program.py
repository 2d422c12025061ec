"""tfgig-bulk, as a user runs it: killed, gone on with, and asked for what is not there."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pq = pytest.importorskip("pyarrow.parquet")
from tests.bulk.test_bulk import expected, explain, same  # noqa: E402

ROWS = 600


def started(*arguments):
    code = "import sys; sys.argv[0] = 'tfgig-bulk'; from tfgig_tools.bulk import run; run()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid):
    """Its processes, by whichever of its threads they were started."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def wait_for_parts(output, count, process):
    until = time.monotonic() + 240
    while len(list((output / "explanations").glob("part-*"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="processes are found in /proc")
def test_a_killed_worker_and_a_killed_driver_cost_no_row(table_model, tmp_path):
    values = np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32)
    pq.write_table(pa.table({"numbers": values.tolist()}), tmp_path / "rows.parquet")
    out = tmp_path / "out"
    arguments = (
        f"--model={table_model}", f"--input={tmp_path}/rows.parquet", f"--output={out}",
        "--method=ig", "--batch=2", "--part_rows=4", "--workers=2", "--resume",
    )  # fmt: skip
    driver = started(*arguments)
    try:
        wait_for_parts(out, 2, driver)
        os.kill(children(driver.pid)[0], signal.SIGKILL)
        wait_for_parts(out, 10, driver)
    finally:
        driver.kill()
        driver.communicate()
    early = {path.name: path.stat().st_mtime_ns for path in (out / "explanations").iterdir()}
    rows, settings = tmp_path / "rows.parquet", {"method": "ig", "batch": 2, "part_rows": 4}
    table = explain(table_model, rows, out, resume=True, **settings)
    assert table["id"].to_pylist() == [f"rows.parquet:{i}" for i in range(ROWS)]
    assert table.equals(explain(table_model, rows, tmp_path / "alone", **settings))
    same(table, expected(table_model, values))
    assert len(early) < ROWS / 4
    for name, written in early.items():
        assert (out / "explanations" / name).stat().st_mtime_ns == written
    assert not [name for name in os.listdir(out) if name.startswith("_")]
