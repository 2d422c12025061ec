"""Models that people own against integrated gradients computed apart: only with `-m slow`.

Each needs its package: keras-hub, or transformers before 5 with tf_keras.
"""

import pytest

from tests.studies.models import HEADER, MODELS, PAGE, tried


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS, ids=lambda case: f"{case.name} at {case.place}")
def test_a_model_is_explained_as_apart_from_tfgig(case):
    if case.version is None:
        pytest.skip(f"{case.package} is not installed")
    found = tried(case)
    assert found.difference < 1e-5
    assert found.served < 1e-6
    assert found.delta < 0.05


def test_the_table_has_a_row_for_each():
    table = PAGE.read_text(encoding="utf-8").partition(HEADER)[2]
    rows = [line.split(" | ") for line in table.splitlines()]
    found = [(row[0].removeprefix("| "), row[1].split()[0], row[2]) for row in rows]
    assert found == [(case.name, case.package, case.place) for case in MODELS]
