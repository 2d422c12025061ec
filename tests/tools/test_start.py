"""How programs start: at once, and without TensorFlow until there is work for it."""

import io
import json
import os
import re
import subprocess
import sys

import pytest
from tfgig_tools import usage

from tests.cases import ROOT

SCRIPT = re.compile(r'^tfgig-(\w+) = "tfgig_tools\.(\w+):run"', re.MULTILINE)
PROGRAMS = dict(SCRIPT.findall((ROOT / "pyproject.toml").read_text()))
ASKED = """
import json, resource, sys
from tfgig_tools.{module} import run
try:
    run()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    imported = [name for name in ("tensorflow.python", "keras.src") if name in sys.modules]
    from absl import flags
    from tfgig_tools import usage
    from tfgig_tools.{module} import TOPICS
    own = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
    named = usage.named(TOPICS, flags.FLAGS)
    assert len(named) == len(set(named)), named
    unnamed = sorted(set(own) - set(named))
    seconds = used.ru_utime + used.ru_stime
    print(json.dumps([imported, unnamed, seconds]), file=sys.stderr)
"""
FIRST = """
import tfgig_tools
import keras, tensorflow as tf, tfgig
early = "tensorflow.python" in __import__("sys").modules
import threading
seen = []
threads = [threading.Thread(target=lambda: seen.append(tf.__version__)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not early and len(set(seen)) == 1
assert type(tf) is type(keras) is type(threading)
assert tfgig.Explainer.__module__ == "tfgig.layers.explainer"
assert keras.saving.get_registered_object("tfgig>Explainer") is tfgig.Explainer
try:
    tf.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
"""


def run(code, *arguments, **settings):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment | settings,
        timeout=120,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_comes_in_less_than_two_seconds_without_tensorflow(name):
    done = run(ASKED.format(module=PROGRAMS[name]), "--help")
    assert done.returncode == 0, done.stderr
    imported, without_topic, seconds = json.loads(done.stderr)
    assert (imported, without_topic) == ([], [])
    assert seconds < 2
    title, _, rest = done.stdout.partition("\n\n")
    assert "\n" not in title
    assert rest.startswith(f"  tfgig-{name}")  # examples first
    assert "\x1b" not in done.stdout


def test_a_mistyped_flag_is_refused_without_tensorflow():
    done = run(ASKED.format(module="export"), "--methdos=ig")
    assert done.returncode == 1
    assert "methods" in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])[0] == []


def test_tensorflow_comes_at_its_first_use_once_and_without_a_word():
    done = run(FIRST)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_notices_of_tensorflow_are_shown_to_who_asks_for_them():
    done = run(FIRST, TF_CPP_MIN_LOG_LEVEL="0")
    assert done.returncode == 0
    assert "cpu_feature_guard" in done.stderr  # whatever the processor is


def test_headings_are_bold_on_terminals_that_take_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert usage.takes_colour(Terminal())
    assert not usage.takes_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not usage.takes_colour(Terminal())
    assert usage.bold_headings("Files:\n  --a: b\n") == "\x1b[1mFiles:\x1b[0m\n  --a: b\n"
