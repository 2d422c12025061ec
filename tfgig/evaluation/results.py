"""What an experiment's directory holds, and how it is written so that a kill loses nothing."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfgig.metrics import Statistic
from tfgig.spec import check

RESULTS = "results.jsonl"
CONFIG = "experiment.json"
SHARD = "shard"  # in the config: which part of the images
MAPS = "maps"
UNREADABLE = "it cannot be read"  # how the reason begins for which such an example is left out


class Results:
    """What an experiment's directory holds: `lines`, the records in the order they were made."""

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = pathlib.Path(directory)
        self.lines = [json.loads(line) for line in _whole_lines(self.directory)]
        self.config = json.loads((self.directory / CONFIG).read_text())

    @property
    def methods(self) -> list[str]:
        """The methods' names, in the experiment's order."""
        return list(self.config["methods"])

    def left_out(self) -> dict[str, str]:
        """The examples that do not count, and why."""
        return {line["example"]: line["left_out"] for line in self.lines if "left_out" in line}

    def unreadable(self) -> dict[str, str]:
        """Those of them whose file is no whole image, and why."""
        out = self.left_out().items()
        return {name: reason for name, reason in out if reason.startswith(UNREADABLE)}

    def records(self, method: str) -> dict[str, dict[str, Any]]:
        """By example: the record of a method."""
        return {line["example"]: line for line in self.lines if line.get("method") == method}

    def statistics(self, method: str, metric: str) -> dict[str, Statistic]:
        """By example: the statistic of a metric for a method."""
        return {name: r["metrics"][metric] for name, r in self.records(method).items()}

    def map(self, method: str, example: str) -> np.ndarray | None:
        """The pixels' scores, float32 [H, W], of an example; None where they were not kept."""
        path = _map_path(self.directory, method, example)
        return np.load(path).astype(np.float32) if path.is_file() else None


def claim(directory: pathlib.Path, config: dict[str, Any]) -> None:
    """Makes the directory this experiment's, or sees that it is."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / CONFIG
    text = json.dumps(config, indent=2) + "\n"
    if not path.is_file():
        beside = path.with_suffix(".part")
        beside.write_text(text)
        beside.rename(path)
        return
    differing = _differing(json.loads(path.read_text()), json.loads(text))
    check(
        not differing,
        f"{str(directory)!r} has the results of another experiment; choose another directory, or "
        "rerun the experiment in its experiment.json.",
        f"another {', '.join(differing)}",
    )


def finished(directory: pathlib.Path) -> set[tuple[str, str | None]]:
    """The (example, method) pairs that are done; half a line at the end is cut off."""
    path = directory / RESULTS
    if not path.is_file():
        return set()
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)
    lines = map(json.loads, text[:whole].splitlines())
    return {(line["example"], line["method"]) for line in lines}


def gather(
    directory: pathlib.Path, shards: Sequence[pathlib.Path], places: Mapping[str, int]
) -> None:
    """Takes the shards' lines and maps into a claimed directory.

    `places` has for each example the number of its batch. A batch was done by one process in a
    fixed order, so sorting by batch restores the order of a run of all.
    """
    config = json.loads((directory / CONFIG).read_text())
    found: dict[tuple[str, str | None], bytes] = {}
    for shard in (directory, *shards):
        check((shard / CONFIG).is_file(), "This directory has no experiment.", str(shard))
        there = json.loads((shard / CONFIG).read_text())
        differing = _differing(_anywhere(there), _anywhere(config))
        check(not differing, f"{str(shard)!r} belongs to another experiment.", ", ".join(differing))
        for text in _whole_lines(shard):
            line = json.loads(text)
            same = found.setdefault((line["example"], line["method"]), text) == text
            check(
                same and line["example"] in places,
                f"{str(shard)!r} has other images, or differs from another part.",
                line["example"],
            )
    for shard in shards:
        if (shard / MAPS).is_dir():
            shutil.copytree(shard / MAPS, directory / MAPS, dirs_exist_ok=True)
    beside = (directory / RESULTS).with_suffix(".part")
    ordered = sorted(found.items(), key=lambda entry: places[entry[0][0]])
    beside.write_bytes(b"".join(text + b"\n" for _, text in ordered))
    beside.rename(directory / RESULTS)


def _anywhere(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what may differ from machine to machine: the part, and the images' path."""
    dataset = {key: value for key, value in config["dataset"].items() if key != "path"}
    return {key: value for key, value in config.items() if key != SHARD} | {"dataset": dataset}


def _whole_lines(directory: pathlib.Path) -> list[bytes]:
    path = directory / RESULTS
    text = path.read_bytes() if path.is_file() else b""
    return text[: text.rfind(b"\n") + 1].splitlines()


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The keys under which two configs differ."""
    return [key for key in {**first, **second} if first.get(key) != second.get(key)]


def keep_map(directory: pathlib.Path, method: str, example: str, saliency: np.ndarray) -> None:
    """Keeps the pixels' scores [H, W] of an example; whole, or not at all."""
    path = _map_path(directory, method, example)
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.save(file, saliency.astype(np.float32))
    beside.rename(path)


def _map_path(directory: pathlib.Path, method: str, example: str) -> pathlib.Path:
    return directory / MAPS / f"{_file_name(example)}.{_file_name(method)}.npy"


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in name)
