"""Functions for worker processes to import; nothing here imports TensorFlow."""

import os
import pathlib
import sys
import time


def double(number):
    return 2 * number


def slow_then_fast(i):
    """The earlier an item, the longer it takes."""
    time.sleep(0.2 if i == 0 else 0.01)
    return i, os.getpid()


def loaded(_):
    """What of these this process has imported."""
    return {name for name in ("tensorflow", "keras", "pytest", "numpy") if name in sys.modules}


def whole(_):
    import tfgig

    return tfgig.__version__, tfgig.presets.__name__, "tensorflow" in sys.modules


def noisy(number):
    print("not an answer", flush=True)
    return number


def fail(item):
    raise KeyError(f"nothing for {item}")


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(first)


def fail_unpicklably(item):
    raise Unpicklable(item, "more")


def die(status):
    os._exit(status)


def die_once(marker):
    """Kills its process at the first call, as the system does when memory runs out."""
    if not pathlib.Path(marker).exists():
        pathlib.Path(marker).write_text(str(os.getpid()))
        os.kill(os.getpid(), 9)
    return "done"


def rest(seconds):
    time.sleep(seconds)
    return os.getpid()


def kill_self():
    os.kill(os.getpid(), 9)


def by_scipy(image, known):
    """`revealing.interpolated` by SciPy, in floats: the reference implementation's way."""
    import numpy as np
    from scipy import interpolate

    known = known.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    made = interpolate.LinearNDInterpolator(np.argwhere(known), image[known].astype(np.float64))
    picture = image.copy()
    if not known.all():
        picture[~known] = np.rint(np.round(made(np.argwhere(~known)), 6))
    return picture


def with_a_worker_of_its_own(kept=[]):  # noqa: B006
    """This process, and one that it started and that waits for more."""
    from tfgig.workers import Workers

    kept.append(Workers(2))
    return os.getpid(), kept[0].submit("x", os.getpid).result()
