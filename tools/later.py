"""TensorFlow and Keras, imported when a program first uses them.

They take seconds to import, and a program that is asked for `--help`, or given a flag that it does
not know, has no use for them. So that the library may write `import tensorflow as tf` as everyone
does, `import` gives a program a module without names; the first name that is looked up in it brings
all of `NAMES`. A module that looks one up while it is itself imported brings them too early, which
`tests/tools/test_start.py` finds.

Python's own `importlib.util.LazyLoader` imports a module at the second `import` of it, before 3.12.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, cast

# The last for its subclass of Keras's: who reads a file of Keras's has it registered.
NAMES = ("tensorflow", "keras", "tfgig.layers")
_SETTING = "TF_CPP_MIN_LOG_LEVEL"
_lock = threading.RLock()
_waiting: dict[str, types.ModuleType] = {}


def import_later() -> None:
    """From now on the modules of `NAMES` wait for their first use, if TensorFlow is not there."""
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _finder)


class _Later(types.ModuleType):
    """A module that has its code run when a name is looked up in it that it does not have."""

    def __getattr__(self, name: str) -> Any:
        _import_all()
        return types.ModuleType.__getattribute__(self, name)


class _Loader(Loader):
    """Makes a module, and leaves it at that."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        module.__class__ = _Later
        _waiting[module.__name__] = module


class _Finder(MetaPathFinder):
    """Finds the modules of `NAMES`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in NAMES else None
        if spec is not None:
            spec.loader = _Loader(spec.loader)
        return spec


_finder = _Finder()


def _import_all() -> None:
    with _lock:  # other threads wait for the one that imports, which finds nothing more to do
        if not _waiting:
            return
        modules = [_waiting[name] for name in NAMES if name in _waiting]
        _waiting.clear()
        sys.meta_path.remove(_finder)
        with _quiet():
            for module in modules:
                cast(Any, module.__loader__).exec_module(module)
                module.__class__ = types.ModuleType


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps notices of TensorFlow's start that no setting turns off from the terminal.

    Unless they are asked for (`TF_CPP_MIN_LOG_LEVEL` 0 or 1), or say why it cannot be imported.
    """
    if os.environ.setdefault(_SETTING, "3") in ("0", "1"):
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            yield
        except Exception:
            notices.seek(0)
            with os.fdopen(os.dup(terminal), "wb") as replay:
                shutil.copyfileobj(notices, replay)
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
