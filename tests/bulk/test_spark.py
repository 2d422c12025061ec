"""Spark answers as one process does, from files and from data frames."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.cases import images

pa = pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("pyspark", reason="the extra bulk is not installed")
from tests.bulk.test_bulk import answers, expected, explain, same  # noqa: E402
from tfgig import bulk  # noqa: E402
from tfgig.bulk import java  # noqa: E402
from tfgig.bulk.spark import on_spark  # noqa: E402


def test_a_job_has_the_answers_of_one_process(spark, table_model, tables, tmp_path):
    settings = {"method": "ig", "batch": 8}
    alone = explain(table_model, tables / "rows.parquet", tmp_path / "a", part_rows=16, **settings)
    prepared = bulk.prepare(
        table_model, tables / "rows.parquet", tmp_path / "b", bulk.Settings(**settings),
        part_rows=16,
    )  # fmt: skip
    done = []
    bulk.run_job(prepared, on_spark(spark), done.append)
    assert sum(done) == 40
    found = answers(tmp_path / "b")
    assert found["id"].equals(alone["id"])
    for name in ("score", "delta"):
        np.testing.assert_allclose(found[name].to_numpy(), alone[name].to_numpy(), atol=1e-6)


def test_an_error_on_a_worker_is_one_line(spark, table_model, tables, tmp_path):
    prepared = bulk.prepare(
        table_model, tables / "rows.parquet", tmp_path / "out", bulk.Settings("ig")
    )
    shutil.rmtree(tmp_path / "out" / "explanations")
    with pytest.raises(ChildProcessError, match=r"Spark failed: The output cannot be written"):
        bulk.run_job(prepared, on_spark(spark))


def test_a_data_frame_of_spark(spark, table_model, tables, numbers):
    frame = spark.read.parquet(str(tables / "rows.parquet")).repartition(3)
    with pytest.raises(ValueError, match=r"name the id column"):
        bulk.explain(frame, table_model, "ig")
    with pytest.raises(ValueError, match=r"no column 'kee'.*'key'"):
        bulk.explain(frame, table_model, "ig", id="kee")
    with pytest.raises(ValueError, match="no float16"):
        bulk.explain(frame, table_model, "ig", id="key", dtype="float16")
    found = bulk.explain(frame, table_model, "ig", id="key", batch=4).toArrow()
    order = np.argsort([int(i) for i in found["id"].to_pylist()])
    same(found.take(order), expected(table_model, numbers))


def test_images_as_spark_reads_them(spark, picture_model, tmp_path):
    for i, image in enumerate(images(3)):
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    frame = spark.read.format("binaryFile").load(str(tmp_path / "*.png"))
    found = bulk.explain(frame, picture_model).toArrow().sort_by("id")
    assert found["ok"].to_pylist() == [True, True, True, False]
    assert "not a readable image" in found["reason"][3].as_py()
    same(found.slice(0, 3), expected(picture_model, images(3)))


def test_frames_of_arrow_and_pandas(table_model, tables, numbers):
    import pyarrow.parquet as pq

    table = pq.read_table(tables / "rows.parquet")
    same(bulk.explain(table, table_model, "ig", batch=16), expected(table_model, numbers))
    frame = bulk.explain(table.to_pandas(), table_model, "ig", id="key")
    assert list(frame["id"]) == [str(i) for i in range(40)]
    with pytest.raises(TypeError, match="Received: dict"):
        bulk.explain({}, table_model, "ig")


def test_java_is_found_or_its_installation_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(OSError, match=r"apt install openjdk.*brew.*conda.*no java on the path"):
        java.find_java()
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"Received: .*bin/java, Java 8"):
        java.find_java()
    program.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    assert java.find_java() == program
