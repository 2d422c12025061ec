"""Ends a program on a signal, with one line and without leaving files behind.

The signals are Ctrl-C (SIGINT), SIGTERM, and SIGHUP, sent when the terminal closes. A signal
becomes a `SystemExit` with the usual shell status, 128 plus the signal's number (130 after
Ctrl-C), so that clean-up code runs. If that does not happen, because TensorFlow is computing,
the process ends after `GRACE` seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

GRACE = 3.0
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in dir(signal)
]
_said = threading.Event()


def end_when_told() -> None:
    """From now on, in the main thread, signals end the process in this way.

    A signal that the process was started to ignore, as `nohup` has it, is ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)
    heard, told = os.pipe()
    os.set_blocking(told, False)
    # Python's own handler waits until TensorFlow returns; what is written here does not.
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    terminal = os.dup(2)  # where it is now: while TensorFlow is imported, it is elsewhere
    if hasattr(os, "register_at_fork"):  # a child's signals are its own
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_watch, args=(heard, terminal), name="ending", daemon=True).start()


def _unwind(number: int, _: FrameType | None) -> None:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # a second one would end the tidying up
    _said.wait(1.0)
    sys.exit(128 + number)


def _watch(heard: int, terminal: int) -> None:
    while True:
        (number,) = os.read(heard, 1)
        # A program that listens itself, such as a server, ends in its own way.
        if number in _SIGNALS and signal.getsignal(number) in (_unwind, signal.SIG_IGN):
            break
    os.write(terminal, f"{'Interrupted' if number == signal.SIGINT else 'Ended'}.\n".encode())
    _said.set()
    threading.Event().wait(GRACE)
    temporary = sys.modules.get("tfgig.temporary")
    if temporary is not None:
        temporary.remove_all()
    os._exit(128 + number)
