"""An experiment on Spark writes the file of one process."""

import pytest

import tfgig
from tests import worker_calls
from tests.cases import image_model
from tests.evaluation.conftest import SHAPE
from tfgig.evaluation.running import Elsewhere, run

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("pyspark", reason="the extra bulk is not installed")
from tfgig_tools.model_flags import Loader

from tfgig.bulk.spark import SparkWorkers, Travelling


def test_the_file_is_that_of_this_process(spark, experiment, tmp_path):
    image_model(shape=SHAPE).save(tmp_path / "model.keras")
    source = tfgig.load_model(tmp_path / "model.keras")
    run(experiment, source, tmp_path / "here")
    with SparkWorkers(spark) as workers:
        model = Travelling.of(str(tmp_path / "model.keras"), spark)
        run(experiment, source, tmp_path / "there", elsewhere=Elsewhere(workers, Loader(model)))
    for name in ("experiment.json", "results.jsonl"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_errors_of_a_worker_are_those_of_the_call(spark, tmp_path):
    with SparkWorkers(spark) as workers:
        assert workers.submit("two", worker_calls.double, 2).result() == 4
        with pytest.raises(KeyError, match="nothing for 5"):
            workers.submit("five", worker_calls.fail, 5).result()
        marker = tmp_path / "marker"
        workers.submit("killed once", worker_calls.die_once, str(marker)).result()
        assert marker.exists()
