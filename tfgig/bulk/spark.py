"""The same parts and the same answers on Spark."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfgig.bulk.extra import check_extra
from tfgig.bulk.java import find_java
from tfgig.bulk.output import finished
from tfgig.bulk.parts import Job, Part, explain_part
from tfgig.bulk.running import Engine
from tfgig.temporary import TemporaryDirectory
from tfgig.worker import answered, request, value

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_AT_ONCE = 256  # calls, at most, that wait for Spark
_TRIES = 4  # of a task on this machine, as on a cluster
_POLL = 0.2  # seconds
_QUIET = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}


def start_session(master: str, options: Mapping[str, str] | None = None) -> SparkSession:
    """A Spark session whose workers run the interpreter that runs here.

    Args:
        master: Such as "local[*]", "spark://host:7077", "yarn" or "k8s://https://host:443".
        options: Spark's own settings, by name. Those of spark-defaults.conf hold, too.

    Raises:
        ImportError: PySpark is not installed.
        OSError: there is no Java of 17 or later, or no such master.
    """
    check_extra("pyspark")
    find_java()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("tfgig").master(_with_tries(master))
    for name, setting in {**_QUIET, **(options or {})}.items():
        builder = builder.config(name, setting)
    try:
        return builder.getOrCreate()
    except Exception as error:  # Java's, under many names
        raise OSError(
            f"Spark cannot be started: {_last_line(error)}. Received: {master!r}."
        ) from error


def on_spark(spark: SparkSession) -> Engine:
    """Does the parts of a job as tasks of Spark, one each.

    Every machine has to see the input and the output under the same paths; the model travels.
    """

    def engine(job: Job, parts: Sequence[Part]) -> Iterator[int]:
        if not parts:
            return
        task = _Task(job, Travelling.of(job.model, spark))
        packed = spark.sparkContext.parallelize(list(map(pickle.dumps, parts)), len(parts))
        waiting = {part.number: part.rows for part in parts}
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            running = thread.submit(lambda: packed.map(task).collect())
            try:
                while not running.done():
                    concurrent.futures.wait([running], _POLL)
                    for number in finished(pathlib.Path(job.output)) & waiting.keys():
                        yield waiting.pop(number)
            except BaseException:
                spark.sparkContext.cancelAllJobs()
                raise
        error = running.exception()
        if error is not None:
            raise ChildProcessError(
                f"Spark failed: {_last_line(error)}. Finished parts are kept; continue with "
                "--resume."
            ) from error

    return engine


@dataclasses.dataclass(frozen=True)
class Travelling:
    """A model's file or directory on its way to Spark's workers.

    Args:
        path: Where it lies: in its archive, or here and there alike where nothing is sent.
        name: What its archive is called there; None if the path is good everywhere.
    """

    path: str
    name: str | None = None

    @classmethod
    def of(cls, model: str, spark: SparkSession) -> Travelling:
        """The model, sent along unless the workers are of this machine, or it is no local path.

        A session of Spark Connect sends nothing: there, the path has to be one that all share.
        """
        if not os.path.exists(model):
            return cls(model)
        try:
            context = spark.sparkContext
        except Exception:  # Connect has none, and says so by an error of its own
            return cls(model)
        if (context.master or "").startswith("local"):
            return cls(model)
        name = f"tfgig-{abs(hash((model, os.stat(model).st_mtime_ns))):x}"
        archive = pathlib.Path(_archives().path) / name
        folder, file = (model, ".") if os.path.isdir(model) else os.path.split(model)
        if not archive.with_suffix(".zip").exists():
            shutil.make_archive(str(archive), "zip", folder or ".", file)
        context.addArchive(f"{archive.with_suffix('.zip')}#{name}")
        return cls(file, name)

    def here(self) -> str:
        """The version's directory, on a worker."""
        if self.name is None:
            return self.path
        from pyspark import SparkFiles

        return os.path.normpath(os.path.join(SparkFiles.get(self.name), self.path))


class SparkWorkers:
    """Calls in Spark's worker processes, as `tfgig.workers.Workers` makes them on this machine.

    Each call is a job of one task, so Spark repeats those whose worker or executor dies.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._context = spark.sparkContext
        self._threads = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)

    def __enter__(self) -> SparkWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def count(self) -> int:
        """How many calls are made at once: the cores of the executors that are there by now."""
        return self._context.defaultParallelism

    def submit(
        self, name: str, function: Callable[..., Any], *arguments: Any
    ) -> concurrent.futures.Future:
        """Hands in a call; its answer, or its error, is the future's `result()`.

        Args:
            name: What the call is about, for errors.
            function: A function that can be imported by its name.
            *arguments: Its arguments.

        Raises:
            ValueError: the function cannot be imported by its name, or an argument not pickled.
        """
        return self._threads.submit(self._ask, name, request(name, function, arguments))

    def close(self) -> None:
        """Gives up what is under way or waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._context.cancelAllJobs()
        self._threads.shutdown()

    def _ask(self, name: str, asked: bytes) -> Any:
        try:
            (answer,) = self._context.parallelize([asked], 1).map(_answered).collect()
        except Exception as error:  # Java's, under many names
            raise ChildProcessError(
                f"Spark gave up at {name!r}: {_last_line(error)}. What is finished stays; the same "
                "command goes on from there."
            ) from error
        return value(name, answer)


def _answered(asked: bytes) -> bytes:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return answered(asked)


def threads_of_task() -> int:
    """How many threads are a task's share: the processors that Spark gives it."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return 1 if context is None else max(1, context.cpus())


@dataclasses.dataclass(frozen=True)
class _Task:
    """Does one part on a worker."""

    job: Job
    model: Travelling

    def __call__(self, packed: bytes) -> int:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        job = dataclasses.replace(self.job, model=self.model.here(), threads=threads_of_task())
        return explain_part(job, pickle.loads(packed))


def _archives() -> TemporaryDirectory:
    """Where archives lie while this process lives: Spark's workers fetch them from here."""
    if not _KEPT:
        _KEPT.append(TemporaryDirectory("tfgig-spark-"))
    return _KEPT[0]


_KEPT: list[TemporaryDirectory] = []


def _with_tries(master: str) -> str:
    """On this machine, Spark would give up at the first worker that dies."""
    found = re.fullmatch(r"local\[([^,\]]+)\]", master)
    if found:
        return f"local[{found[1]},{_TRIES}]"
    return f"local[1,{_TRIES}]" if master == "local" else master


def _last_line(error: BaseException) -> str:
    """The line that says what was wrong: Spark's errors hold traces of Python and of Java."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"([a-z_]\w*\.)*\w*(Error|Exception): ", line)]
    found = telling[-1] if telling else (lines or [type(error).__name__])[0]
    return re.sub(r"^[\w.]+: ", "", found).rstrip(".")
