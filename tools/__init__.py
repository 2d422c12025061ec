"""Command-line programs, each installed as tfgig-<name>: export, explain, evaluate and others."""

import os
import shutil
import sys
import tempfile

from tfgig_tools.ending import end_when_told


def _import_tensorflow_quietly() -> None:
    """Keeps TensorFlow's start-up notices, which no setting turns off, from the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except Exception:
            notices.seek(0)  # then they may say why
            with os.fdopen(os.dup(terminal), "wb") as replay:
                shutil.copyfileobj(notices, replay)
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


end_when_told()
_import_tensorflow_quietly()
