"""Tests of tfgig.demonstration.scenes: scenes of which it is known where the evidence is."""

import functools
import subprocess
import sys

import numpy as np
import pytest

from tfgig.demonstration import scenes
from tfgig.demonstration.scenes import composition


@functools.cache
def composed(split="train", seed=3, count=16):
    return scenes.compose(count, seed=seed, split=split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_shapes_and_types(split):
    images, masks, labels = composed(split)
    assert (images.shape, images.dtype) == ((16, 96, 96, 3), np.uint8)
    assert (masks.shape, masks.dtype) == ((16, 96, 96), bool)
    assert (labels.shape, labels.dtype) == ((16,), np.int64)
    assert scenes.SIZE == 96
    assert len(set(scenes.CLASSES)) == 8


def test_the_seed_decides():
    again = scenes.compose(16, seed=3)
    for one, other in zip(composed(), again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(composed(seed=4).images, composed().images)


def test_the_split_is_train_unless_told():
    assert np.array_equal(scenes.compose(2, seed=3).images, composed().images[:2])


def test_a_small_count_gives_the_first_of_a_large_one():
    few = scenes.compose(5, seed=3)
    for one, other in zip(few, composed(), strict=True):
        np.testing.assert_array_equal(one, other[:5])


def test_the_state_of_numpy_is_neither_used_nor_changed():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    again = scenes.compose(2, seed=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(again.images, composed().images[:2])


def test_the_classes_are_balanced_and_their_order_is_not_fixed():
    runs = composed().labels.reshape(2, 8)
    for run in runs:
        assert sorted(run) == list(range(8))
    assert not np.array_equal(*runs)


@pytest.mark.parametrize("split", ["train", "test"])
def test_masks_are_neither_empty_nor_at_the_edge(split):
    masks = composed(split).masks
    shares = masks.mean(axis=(1, 2))
    assert shares.min() > 0.02
    assert shares.max() < 0.35
    inside = np.zeros((96, 96), bool)
    inside[1:-1, 1:-1] = True
    assert not masks[:, ~inside].any()


def test_the_object_has_the_size_which_is_promised():
    for mask in composed().masks:
        rows, columns = np.nonzero(mask)
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        # A rim of one to two pixels at each side, less what the rounded corners lost.
        assert 0.24 * 96 < extent < 0.52 * 96 + 5


def test_the_mask_holds_the_object(monkeypatch):
    """Another fill of the object changes the image within its mask, and hardly a trace outside."""
    before = scenes.compose(8, seed=5)
    fill = composition._fill
    monkeypatch.setattr(composition, "_distractors", lambda random, occupied: [])
    plain = scenes.compose(8, seed=5)
    monkeypatch.setattr(composition, "_fill", lambda *arguments: 255 - fill(*arguments))
    inverted = scenes.compose(8, seed=5)
    np.testing.assert_array_equal(plain.masks, before.masks)
    changed = np.abs(plain.images.astype(int) - inverted.images.astype(int)).max(axis=-1)
    assert changed[~plain.masks].max() <= 8
    for one, mask in zip(changed, plain.masks, strict=True):
        assert (one[mask] > 20).mean() > 0.5


def test_distractors_leave_the_object_alone(monkeypatch):
    laid = []
    lay = composition._lay

    def record(canvas, item, colour, light):
        laid.append(item)
        lay(canvas, item, colour, light)

    monkeypatch.setattr(composition, "_lay", record)
    counts = []
    for seed in range(24):
        laid.clear()
        mask = scenes.compose(1, seed=seed).masks[0]
        *distractors, item = laid
        assert composition._spread(*item)[~mask].sum() < 1
        for distractor in distractors:
            opacity = composition._spread(*distractor)
            assert opacity[mask].sum() < 0.03 * distractor.alpha.sum()
            assert opacity.sum() > 0.2 * distractor.alpha.sum()
        counts.append(len(distractors))
    assert set(counts) == {0, 1, 2}


def test_the_splits_share_no_photograph(monkeypatch):
    train, test = scenes.PHOTOGRAPHS["train"], scenes.PHOTOGRAPHS["test"]
    assert not set(train) & set(test)
    used = []
    crop = composition._crop

    def record(random, name, *arguments):
        used.append(name)
        return crop(random, name, *arguments)

    monkeypatch.setattr(composition, "_crop", record)
    for split in ("train", "test"):
        used.clear()
        scenes.compose(48, seed=0, split=split)
        assert set(used) == set(scenes.PHOTOGRAPHS[split])


def test_the_same_seed_gives_other_images_in_the_other_split():
    assert not np.array_equal(composed("train").images, composed("test").images)


def test_the_splits_differ_in_their_photographs():
    for name in (*scenes.PHOTOGRAPHS["train"], *scenes.PHOTOGRAPHS["test"]):
        photograph = np.asarray(composition._photograph(name))
        assert photograph.dtype == np.uint8
        assert photograph.shape[-1] == 3
        assert min(photograph.shape[:2]) >= 300
        assert photograph.std() > 5


@pytest.mark.parametrize("split", ["validation", "Test", "", None])
def test_an_unknown_split_is_refused(split):
    with pytest.raises(ValueError, match=r'"train" or "test".*Received: split='):
        scenes.compose(1, seed=0, split=split)


@pytest.mark.parametrize("count", [0, -1, 1.5, "3", None, True])
def test_a_count_which_is_none_is_refused(count):
    with pytest.raises(ValueError, match=r"`count` must be an integer of at least 1\. Received: "):
        scenes.compose(count, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None, False])
def test_a_seed_which_is_none_is_refused(seed):
    with pytest.raises(ValueError, match=r"`seed` must be an integer of at least 0\. Received: "):
        scenes.compose(1, seed=seed)


def test_integers_of_numpy_are_fine():
    assert len(scenes.compose(np.int64(2), seed=np.uint8(0)).labels) == 2


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    def refuse(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(composition.importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=r"pip install 'tfgig\[pictures\]'"):
        scenes.compose(1, seed=0)


def test_the_import_needs_neither_pillow_nor_scikit_image():
    code = (
        "import importlib.util, pathlib, sys\n"
        "sys.modules.update({'PIL': None, 'skimage': None, 'scipy': None})\n"
        f"spec = importlib.util.spec_from_file_location('scenes', {composition.__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(len(module.CLASSES))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "8"), done.stderr
