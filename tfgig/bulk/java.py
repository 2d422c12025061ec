"""Finds the Java that Spark runs on."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

LEAST = 17  # what Spark 4 runs on
_ADVICE = (
    f"Spark needs Java {LEAST} or later. Install one: apt install openjdk-17-jre-headless (Debian, "
    "Ubuntu), brew install openjdk@17 (macOS), conda install -c conda-forge openjdk=17; or set "
    "JAVA_HOME to it. Without --master no Java is needed."
)


def find_java() -> pathlib.Path:
    """The program `java` of `JAVA_HOME`, or else of the path.

    Raises:
        OSError: there is none, or an older one; the error says how to install one.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home}" if home else "no java on the path"
        raise FileNotFoundError(f"{_ADVICE} Received: {where}.")
    version = version_of(found)
    if version < LEAST:
        raise OSError(f"{_ADVICE} Received: {found}, Java {version or 'of unknown version'}.")
    return pathlib.Path(found)


def version_of(java: str | os.PathLike) -> int:
    """The version of a `java`: 8, 11, 17, ...; 0 if it says none."""
    try:
        done = subprocess.run(
            [os.fspath(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else 0
