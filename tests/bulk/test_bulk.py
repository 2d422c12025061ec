"""A job's answers are the signature's, whatever the format; what is wrong is said in words."""

import errno
import functools
import json
import os

import keras
import numpy as np
import pytest
from PIL import Image

import tfgig
from tests.cases import images
from tfgig.serving import SessionModel

pa = pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pq = pytest.importorskip("pyarrow.parquet")
from tfgig import bulk  # noqa: E402
from tfgig.bulk import parts  # noqa: E402
from tfgig.bulk.tally import count_up  # noqa: E402

COLUMNS = {"numbers": ("n0", "n1", "n2", "n3")}


def explain(model, rows, output, workers=0, resume=False, part_rows=0, form=None, **settings):
    prepared = bulk.prepare(
        model, rows, output, bulk.Settings(**settings), form, part_rows=part_rows, resume=resume
    )
    bulk.run_job(prepared, bulk.on_this_machine(workers))
    return answers(output)


def answers(output):
    files = sorted((output / "explanations").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files])


opened = functools.cache(SessionModel)


def expected(model, values, target=-1):
    session = opened(model)
    (name,) = set(session.signatures["explain_ig"].inputs) - {"target"}
    return session.run("explain_ig", **{name: values}, target=np.full(len(values), target))


def attributions(table, name="attributions"):
    shapes = {tuple(shape) for shape in table[f"{name}_shape"].drop_null().to_pylist()}
    (shape,) = shapes
    values = [np.reshape(v, shape) for v in table[name].drop_null().to_pylist()]
    return np.array(values, np.float32)


def same(table, wanted):
    assert table["ok"].to_pylist() == wanted["ok"].tolist()
    assert table["target"].to_pylist() == wanted["target"].tolist()
    for name in ("score", "baseline_score", "delta", "error"):
        np.testing.assert_allclose(table[name].to_numpy(), wanted[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(attributions(table), wanted["attributions"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "tfrecord"])
def test_every_format_has_the_signatures_answers(table_model, tables, numbers, tmp_path, form):
    columns = COLUMNS if form == "csv" else {}
    table = explain(
        table_model, tables / f"rows.{form}", tmp_path / "out",
        method="ig", columns=columns, batch=7, part_rows=12,
    )  # fmt: skip
    same(table, expected(table_model, numbers))
    assert table["id"].to_pylist() == [f"rows.{form}:{i}" for i in range(40)]
    assert len(list((tmp_path / "out" / "explanations").iterdir())) == 4


def test_targets_come_from_a_column_or_are_one(table_model, numbers, tmp_path):
    wanted = [i % 3 for i in range(9)] + [7]
    rows = pa.table({"numbers": numbers[:10].tolist(), "label": wanted})
    pq.write_table(rows, tmp_path / "rows.parquet")
    table = explain(table_model, tmp_path / "rows.parquet", tmp_path / "a", method="ig",
                    target="label", columns={"numbers": "numbers"})  # fmt: skip
    assert table["target"].to_pylist() == [*wanted[:9], None]
    assert "the target does not exist" in table["reason"][9].as_py()
    one = explain(table_model, tmp_path / "rows.parquet", tmp_path / "b", method="ig", target=2,
                  columns={"numbers": "numbers"}, id="label")  # fmt: skip
    assert one["id"].to_pylist() == [str(i) for i in wanted]
    same(one, expected(table_model, numbers[:10], target=2))


def test_a_bad_row_is_told_and_harms_no_other(table_model, numbers, tmp_path):
    rows = [{"numbers": row.tolist()} for row in numbers[:8]]
    rows[1]["numbers"] = [1.0, 2.0]
    rows[2]["numbers"] = [1.0, 2.0, 3.0, "many"]
    rows[3]["numbers"] = None
    rows[4] = {"other": 1}
    rows[6]["numbers"][2] = float("nan")
    lines = [json.dumps(row) for row in rows]
    lines[5] = "{not json"
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    table = explain(table_model, tmp_path / "rows.jsonl", tmp_path / "out", method="ig")
    assert table["ok"].to_pylist() == [True] + [False] * 6 + [True]
    reasons = table["reason"].to_pylist()
    for i, text in enumerate(
        ["shape", "'many'", "missing", "missing", "the line cannot be read", "not finite"], 1
    ):
        assert text in reasons[i]
    assert reasons[0] is None
    wanted = expected(table_model, numbers[[0, 7]])
    np.testing.assert_allclose(attributions(table), wanted["attributions"], rtol=1e-5, atol=1e-6)
    assert table["score"].null_count == 6
    tally = count_up(tmp_path / "out")
    assert (tally.rows, sum(tally.bad.values()), tally.rejected) == (8, 6, 0)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i, image in enumerate(images(5)):
        name = ["a.png", "b.png", "c.bmp", "more/d.png", "more/e.png"][i]
        Image.fromarray(image.astype(np.uint8)).save(folder / name)
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "labels.csv").write_text("a,1")
    return folder


def test_a_directory_of_images(picture_model, photos, tmp_path):
    table = explain(
        picture_model, photos, tmp_path / "out", form="images", batch=2, part_rows=4, heatmaps=True
    )
    assert table["id"].to_pylist() == ["a.png", "b.png", "c.bmp", "more/d.png", "more/e.png"]
    same(table, expected(picture_model, images(5)))
    assert all(picture.startswith(b"\x89PNG") for picture in table["heatmap_bytes"].to_pylist())
    rejected = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    assert [row["id"] for row in rejected] == ["bad.png"]
    assert "not a readable image" in rejected[0]["reason"]
    assert count_up(tmp_path / "out").rejected == 1


def test_attributions_are_reduced_and_halved(picture_model, photos, tmp_path):
    table = explain(
        picture_model, photos, tmp_path / "out", form="images", reduce="channels", dtype="float16"
    )
    whole = expected(picture_model, images(5))["attributions"]
    assert table.schema.field("attributions").type.value_type == pa.float16()
    found = attributions(table)
    np.testing.assert_allclose(found, whole.sum(-1), atol=2e-3 * np.abs(whole).max())


def test_what_is_finished_is_not_done_again(table_model, tables, tmp_path, monkeypatch):
    settings = {"method": "ig", "batch": 4, "part_rows": 8}
    whole = explain(table_model, tables / "rows.parquet", tmp_path / "whole", **settings)
    write, written = parts.write_part, []

    def fails_later(output, number, *arguments):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(number)
        return write(output, number, *arguments)

    monkeypatch.setattr(parts, "write_part", fails_later)
    out = tmp_path / "out"
    with pytest.raises(OSError, match=r"No space left on device.*continue with --resume"):
        explain(table_model, tables / "rows.parquet", out, **settings)
    assert len(answers(out)) == 24
    (out / "explanations" / "part-00001.parquet").unlink()
    written.clear()
    table = explain(table_model, tables / "rows.parquet", out, resume=True, **settings)
    assert written == [1, 3, 4]
    assert table.equals(whole)


def test_a_full_disk_leaves_no_half_of_a_part(table_model, tables, tmp_path, monkeypatch):
    from tfgig.bulk import output

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(output.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            explain(table_model, tables / "rows.parquet", tmp_path / "out", method="ig")
    assert sorted(os.listdir(tmp_path / "out")) == ["explanations", "rejected", "settings.json"]
    assert not list((tmp_path / "out" / "explanations").iterdir())
    explain(table_model, tables / "rows.parquet", tmp_path / "out", resume=True, method="ig")


def test_an_output_is_one_jobs(table_model, tables, tmp_path):
    out = tmp_path / "out"
    explain(table_model, tables / "rows.parquet", out, method="ig")
    with pytest.raises(ValueError, match=r"The output exists\. Continue it with --resume"):
        explain(table_model, tables / "rows.parquet", out, method="ig")
    with pytest.raises(ValueError, match=r"other settings.*signature: 'explain_ig' there"):
        explain(table_model, tables / "rows.parquet", out, resume=True, method="gradient")
    with pytest.raises(ValueError, match=r"other settings.*input"):
        explain(table_model, tables / "rows.jsonl", out, resume=True, method="ig")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not written by a bulk job"):
        explain(table_model, tables / "rows.parquet", tmp_path / "mine", method="ig", resume=True)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ("rows.parquet", {"columns": {"numbers": "number"}}, r"no column 'number'.*'numbers'"),
        ("rows.parquet", {"columns": {"number": "numbers"}}, r"no input 'number'.*'numbers'"),
        ("rows.parquet", {"id": "kee"}, r"no column 'kee'.*'key'"),
        ("rows.parquet", {"target": "labels"}, "no column 'labels'"),
        ("rows.csv", {}, "no column 'numbers'"),
        ("rows.parquet", {"method": "igg"}, r"Unknown method 'igg'.*'ig'"),
        ("rows.parquet", {"method": None}, "Choose a method"),
        ("rows.parquet", {"kind": "tokens"}, "no signature with tokens"),
        ("rows.parquet", {"heatmaps": True}, "no signature with heatmap"),
        ("rows.parquet", {"heatmaps": True, "target": 1}, "explain the top class"),
        ("rows.parquet", {"dtype": "float8"}, "`dtype` must be one of"),
        ("rows.text", {}, "No file or directory"),
        ("rows.jsonl", {"id": "kee"}, "None of the first 40 rows has a column 'kee'"),
        ("rows.tfrecord", {"columns": {"numbers": "number"}}, "rows has a column 'number'"),
        ("", {}, "several formats"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    table_model, tables, tmp_path, rows, settings, message
):
    with pytest.raises((ValueError, OSError), match=message):
        explain(table_model, tables / rows, tmp_path / "out", **{"method": "ig", **settings})
    assert not (tmp_path / "out").exists()


def test_a_model_without_versions_and_files_that_are_none(table_model, tables, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="no SavedModel"):
        explain(tmp_path / "empty", tables / "rows.parquet", tmp_path / "out", method="ig")
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.tfrecord").write_bytes((tables / "rows.tfrecord").read_bytes())
    (rows / "b.tfrecord").write_bytes(b"\x1f\x8b compressed, or so")
    table = explain(table_model, rows, tmp_path / "out", method="ig")
    assert len(table) == 40
    (rejected,) = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    assert rejected["id"] == "b.tfrecord"
    assert "compressed" in rejected["reason"]


def test_files_of_images_for_a_model_without_pictures(table_model, photos, tmp_path):
    with pytest.raises(ValueError, match="has no image input"):
        explain(table_model, photos, tmp_path / "out", form="images", method="ig")
    assert not (tmp_path / "out").exists()


def test_rows_that_a_file_does_not_give_are_rejected(table_model, numbers, tmp_path):
    """Whatever else is in the part is explained: also of a file that changes meanwhile."""
    rows = tmp_path / "rows"
    rows.mkdir()
    pq.write_table(pa.table({"numbers": numbers.tolist()}), rows / "a.parquet", row_group_size=10)
    pq.write_table(pa.table({"other": [1, 2]}), rows / "b.parquet")
    pq.write_table(pa.table({"numbers": numbers[:3].tolist()}), rows / "c.parquet")
    content = bytearray((rows / "a.parquet").read_bytes())
    third = pq.read_metadata(rows / "a.parquet").row_group(2).column(0)
    start = third.dictionary_page_offset or third.data_page_offset
    content[start : start + 60] = b"\xff" * 60
    (rows / "a.parquet").write_bytes(content)
    prepared = bulk.prepare(table_model, rows, tmp_path / "out", bulk.Settings("ig", batch=10))
    (rows / "c.parquet").unlink()
    bulk.run_job(prepared, bulk.on_this_machine())
    found = answers(tmp_path / "out")
    same(found, expected(table_model, numbers[:20]))
    rejected = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    assert [row["id"] for row in rejected] == ["a.parquet", "b.parquet", "c.parquet"]
    for row, reason in zip(
        rejected,
        ["rows 20 to 39 cannot be read", "no column 'numbers'", "rows 0 to 2 cannot be read"],
        strict=True,
    ):
        assert reason in row["reason"]


def test_lines_that_are_gone_are_rejected(table_model, numbers, tmp_path):
    lines = [json.dumps({"numbers": row.tolist()}) + "\n" for row in numbers[:8]]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    prepared = bulk.prepare(table_model, tmp_path / "rows.jsonl", tmp_path / "out",
                            bulk.Settings("ig"))  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(lines[:5]))
    bulk.run_job(prepared, bulk.on_this_machine())
    assert len(answers(tmp_path / "out")) == 5
    (rejected,) = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    assert rejected["reason"] == "rows 5 to 7 cannot be read: the file is shorter than before"


def test_images_of_mixed_sizes(tmp_path):
    """A model of any size has each at its own."""
    inputs = keras.Input((None, None, 3), name="image")
    hidden = keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    pooled = keras.layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    version = tfgig.export_saved_model(
        model, tmp_path / "open", {"ig": tfgig.PathIntegral(steps=2)}
    )
    made = [images(1, shape=shape)[0] for shape in ((9, 7, 3), (6, 8, 3), (9, 7, 3))]
    for i, image in enumerate(made):
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{i}.png")
    table = explain(version, tmp_path / "*.png", tmp_path / "out", method="ig")
    shapes = [(9, 7, 3), (6, 8, 3), (9, 7, 3)]
    assert [tuple(shape) for shape in table["attributions_shape"].to_pylist()] == shapes
    for row, image in zip(table.to_pylist(), made, strict=True):
        wanted = expected(version, image[np.newaxis])
        assert row["score"] == pytest.approx(float(wanted["score"][0]), abs=1e-5)
        found = np.reshape(row["attributions"], row["attributions_shape"])
        np.testing.assert_allclose(found, wanted["attributions"][0], atol=1e-5)


def test_an_input_of_no_rows_is_refused(table_model, tmp_path):
    pq.write_table(pa.table({"numbers": pa.array([], pa.list_(pa.float32()))}), tmp_path / "a.pq")
    with pytest.raises(ValueError, match="no rows"):
        explain(table_model, tmp_path / "a.pq", tmp_path / "out", method="ig")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read off /proc")
def test_memory_does_not_grow_with_the_rows(table_model, numbers, tmp_path):
    values = np.tile(numbers, (2500, 1))
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 4)
    pq.write_table(pa.table({"numbers": column}), tmp_path / "rows.parquet")
    prepared = bulk.prepare(
        table_model, tmp_path / "rows.parquet", tmp_path / "out", bulk.Settings("ig")
    )
    pages = []  # of memory, after each part
    with open("/proc/self/statm", encoding="ascii") as statm:

        def look(_):
            statm.seek(0)
            pages.append(int(statm.read().split()[1]))

        bulk.run_job(prepared, bulk.on_this_machine(), look)
    assert len(pages) == 25
    assert count_up(tmp_path / "out").rows == 100_000
    grown = (max(pages[5:]) - max(pages[:5])) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 32 << 20
