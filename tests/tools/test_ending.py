"""How programs end: told to by a signal, asked for help, or without what they need."""

import re
import signal
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from tfgig_tools.program import EXTRAS, in_words

import tfgig
from tests.cases import ROOT
from tests.tools.test_programs import program

# A program that has a temporary directory and a version half written, and then ...
BUSY = """
import pathlib, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
folder, doing = pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)
import tfgig_tools
import tensorflow as tf
from tfgig_tools import program
from tfgig.export.publish import Version
from tfgig.temporary import TemporaryDirectory

def endless():
    return tf.while_loop(lambda i: True, lambda i: [i + 1], [0])

def main(arguments):
    compute = tf.function(endless)
    with TemporaryDirectory("tfgig-", folder), Version(folder / "m", 1, False).incoming():
        print("ready", flush=True)
        if doing == "listening":
            signal.pause()
        compute()  # which does not look at signals

program.run(main, "__main__", "A program.", {})
"""


@pytest.mark.parametrize(
    ("name", "doing", "status", "line"),
    [
        ("SIGINT", "listening", 130, b"Interrupted.\n"),
        ("SIGTERM", "computing", 143, b"Ended.\n"),
        ("SIGHUP", "listening", 129, b"Ended.\n"),
    ],
)
def test_a_signal_ends_a_program_with_one_line_and_nothing_left(
    tmp_path, name, doing, status, line
):
    command = [sys.executable, "-c", BUSY, tmp_path, doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n", process.stderr.read()
            process.send_signal(getattr(signal, name))
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == status
    assert errors == line
    assert [path for path in tmp_path.rglob("*") if path.name != "m"] == []


def test_ctrl_c_while_tensorflow_is_imported(tmp_path):
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import importlib.abc, sys\n"
        "class Tell(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'tensorflow.python':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Tell())\n"
        "import tfgig_tools\n"
        "import tensorflow as tf\n"
        "tf.constant\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


@pytest.mark.parametrize("name", ["export", "serve"])  # with a --version of its own, and without
def test_help_and_version_are_no_failures(name):
    """In one process: a program's flags are the process's."""
    code = (
        "import sys\n"
        f"sys.argv[0] = 'tfgig-{name}'\n"
        f"from tfgig_tools.{name} import run\n"
        "for flag in ('--help', '--program_version'):\n"
        "    sys.argv[1:] = [flag]\n"
        "    try:\n"
        "        run()\n"
        "    except SystemExit as end:\n"
        "        print('status', end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("status 0") == 2, done.stderr
    assert "--program_version" in done.stdout
    assert f"\ntfgig {tfgig.__version__}, tensorflow 2." in done.stdout


def test_every_package_of_an_extra_is_known():
    text = (ROOT / "pyproject.toml").read_text()
    modules = {
        "grpcio": "grpc",
        "pillow": "PIL",
        "prometheus-client": "prometheus_client",
        "protobuf": "google.protobuf",
        "pyyaml": "yaml",
        "scikit-image": "skimage",
        "tensorflow-serving-api": "tensorflow_serving",
    }
    for extra in ("pictures", "serving"):
        (block,) = re.findall(rf"^{extra} = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
        for line in re.findall(r'"(.*?)"', block):
            name = Requirement(line).name
            assert EXTRAS[modules.get(name, name)] == extra


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    for package, extra in (("tqdm", "pictures"), ("PIL.Image", "pictures"), ("grpc", "serving")):
        text = in_words(ModuleNotFoundError(f"No module named {package!r}", name=package))
        assert text.startswith(f"This needs the package {package!r}, ")
        assert text.endswith(f"pip install 'tfgig[{extra}]'.")
    assert in_words(ModuleNotFoundError("No module named 'google'", name="google")) == (
        "No module named 'google'"
    )


def test_an_error_does_not_write_escape_codes():
    done = program("inspect_model", "\x1b]0;owned\x07\x1b[31m.keras")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr + done.stdout
    assert "x1b]0;owned" in done.stderr
