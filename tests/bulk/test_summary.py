"""What many rows say together."""

import json

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pq = pytest.importorskip("pyarrow.parquet")
from tfgig import bulk  # noqa: E402
from tfgig.bulk import report  # noqa: E402
from tfgig.bulk.summary import ALL  # noqa: E402
from tfgig.bulk.tally import count_up  # noqa: E402


def written(folder, values, targets, texts=None, notes=None):
    """A job's output of two parts, with these attributions."""
    (folder / "explanations").mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(notes or {}))
    columns = {
        "target": pa.array(targets, pa.int64()),
        "attributions": [None if v is None else np.ravel(v).tolist() for v in values],
        "attributions_shape": [None if v is None else list(np.shape(v)) for v in values],
        "reason": [None if v is not None else "bad" for v in values],
        "ok": [v is not None for v in values],
        "delta": pa.array([0.1] * len(values), pa.float32()),
        "error": pa.array([0.2] * len(values), pa.float32()),
    }
    if texts is not None:
        columns["token_text"] = texts
    table = pa.table(columns)
    for i, part in enumerate((table.slice(0, 2), table.slice(2))):
        pq.write_table(part, folder / "explanations" / f"part-0000{i}.parquet")
    return folder


def drawn(summaries, folder):
    pictures = report.write_pictures(summaries, folder)
    report.write_page(summaries, pictures, count_up(folder), folder / "page.html")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    return (folder / "page.html").read_text()


def test_columns_are_ranked_by_class_with_intervals(tmp_path):
    values = np.random.default_rng(0).normal([0.0, -3.0, 0.5], 1.0, (30, 3))
    targets = [i % 2 for i in range(30)]
    notes = {"labels": ["<cat>", "dog"], "names": {"attributions": ["age", "income", "size"]}}
    folder = written(tmp_path / "out", [*values, None], [*targets, None], notes=notes)
    (summary,) = bulk.summarize(folder)
    assert [found.name for found in summary.classes] == [ALL, "<cat>", "dog"]
    assert [found.rows for found in summary.classes] == [30, 15, 15]
    first = summary.classes[0].features[0]
    assert (first.name, first.rows) == ("income", 30)
    assert first.mean.value == pytest.approx(values[:, 1].mean())
    assert first.mean.half == pytest.approx(1.96 * values[:, 1].std(ddof=1) / np.sqrt(30))
    assert first.mean_absolute.value == pytest.approx(np.abs(values[:, 1]).mean())
    page = drawn([summary], tmp_path / "out")
    assert "income" in page
    assert "&lt;cat&gt;" in page
    assert "1 x bad" in page


def test_tokens_are_gathered_by_their_text(tmp_path):
    texts = [["good", "film", ""], ["good", "", ""], ["bad", "film", "rare"], ["bad", "", ""]]
    values = [[1.0, 0.1, 0.0], [3.0, 0.0, 0.0], [-2.0, 0.3, 9.0], [-1.0, 0.0, 0.0]]
    folder = written(tmp_path / "out", values, [0, 0, 1, 1], texts)
    (summary,) = bulk.summarize(folder, least=2)
    found = {feature.name: feature for feature in summary.classes[0].features}
    assert list(found) == ["good", "bad", "film"]
    assert (found["good"].rows, found["good"].mean.value) == (2, 2.0)
    assert found["bad"].mean.value == -1.5
    assert "fewer than 2" in drawn([summary], folder)


def test_maps_of_one_size_are_averaged(tmp_path):
    values = [np.full((2, 3, 3), float(i)) for i in (1, -1, 3)] + [np.ones((5, 5, 3))]
    folder = written(tmp_path / "out", values, [0, 0, 4, 4])
    (summary,) = bulk.summarize(folder)
    assert summary.classes[0].rows == 3
    np.testing.assert_allclose(summary.classes[0].map, [np.full((2, 3), 3), np.full((2, 3), 5)])
    assert "1 rows of other sizes" in drawn([summary], folder)


def test_nothing_to_sum_up_is_told(tmp_path):
    with pytest.raises(ValueError, match="not the output of a bulk job"):
        bulk.summarize(tmp_path)
    with pytest.raises(ValueError, match="No row has an explanation"):
        bulk.summarize(written(tmp_path / "out", [None] * 3, [None] * 3))
