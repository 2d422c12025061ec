"""Damaged files, given to all that reads strangers' files: words, or a result, and nothing else."""

import random

import pytest

from tests.cases import run_python

SECONDS = 20  # beside starting TensorFlow, and at least a few files of each kind


def _fuzz(folder, seconds, *options):
    done = run_python("-m", "tests.fuzz.run", folder, seconds, *options, check=False)
    last = folder / "last.txt"
    assert done.returncode == 0, (
        f"status {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}\n"
        f"the last: {last.read_text()[:2000] if last.exists() else None}"
    )


def test_damaged_files_are_answered_in_words(tmp_path):
    """The same files each time, as far as the time goes."""
    pytest.importorskip("hypothesis")
    _fuzz(tmp_path, SECONDS)


@pytest.mark.slow
def test_other_damaged_files_are_answered_in_words(tmp_path):
    pytest.importorskip("hypothesis")
    _fuzz(tmp_path, 600, f"--seed={random.SystemRandom().randrange(2**32)}")
