"""A version appears whole or not at all, whatever goes wrong."""

import os
import threading

import pytest

from tests.cases import run_python
from tfgig.export import publish
from tfgig.export.publish import Version
from tfgig.exported.directory import latest, versions


def write(base, number=None, overwrite=False, text="new"):
    version = Version(base, number, overwrite)
    with version.incoming() as directory:
        (directory / "saved_model.pb").write_text(text)
        (directory / "assets.extra").mkdir()
    return version.directory


def content(base):
    """Everything under a directory, hidden or not."""
    return sorted(str(path.relative_to(base)) for path in base.rglob("*"))


def test_the_first_version_is_one_and_the_next_is_the_highest_plus_one(tmp_path):
    base = tmp_path / "a" / "model"
    assert list(versions(base)) == []
    assert write(base) == base / "1"
    assert write(base) == base / "2"
    assert write(base, 10) == base / "10"
    assert write(base) == base / "11"
    assert list(versions(base)) == [1, 2, 10, 11]


def test_only_directories_that_are_numbers_are_versions(tmp_path):
    for name in ("7", "007x", "best", ".incoming-9", "-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    assert list(versions(tmp_path)) == [7]


def test_latest(tmp_path):
    with pytest.raises(FileNotFoundError, match="no SavedModel"):
        latest(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no SavedModel"):
        latest(tmp_path)
    for number in (2, 10, 9):
        write(tmp_path / "model", number)
    assert latest(tmp_path / "model") == tmp_path / "model" / "10"
    assert latest(tmp_path / "model" / "9") == tmp_path / "model" / "9"


def test_a_version_is_readable_by_the_servers_own_user(tmp_path):
    assert write(tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_nothing_is_at_its_place_before_the_block_ends(tmp_path):
    version = Version(tmp_path / "model", 3, False)
    with version.incoming() as directory:
        assert directory.parent == tmp_path / "model"  # one file system: a rename is enough
        assert list(versions(tmp_path / "model")) == []
        assert not directory.name.isdigit()
    assert content(tmp_path / "model") == ["3"]


def test_an_existing_version_is_refused_before_any_work(tmp_path):
    write(tmp_path / "model", 3, text="old")
    with pytest.raises(FileExistsError, match=r"Version 3 already exists.*overwrite=True"):
        Version(tmp_path / "model", 3, False)
    assert (tmp_path / "model" / "3" / "saved_model.pb").read_text() == "old"


def test_overwrite_replaces_all_of_it(tmp_path):
    base = tmp_path / "model"
    (write(base, 3, text="old") / "left over").write_text("")
    assert write(base, 3, overwrite=True) == base / "3"
    assert (base / "3" / "saved_model.pb").read_text() == "new"
    assert content(base) == ["3", "3/assets.extra", "3/saved_model.pb"]
    assert write(base, 4, overwrite=True) == base / "4"  # nothing there to replace


@pytest.mark.parametrize("number", [-1, 1.5, "1", True, 10**20 - 1])
def test_a_version_is_a_whole_number(tmp_path, number):
    with pytest.raises(ValueError, match=r"whole number from 0 to 9223372036854775807.*Received"):
        Version(tmp_path / "model", number, False)


def test_a_path_that_is_a_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path='.*model', version=7\..*Received"):
        Version(tmp_path / "model" / "7", None, False)


# What goes wrong leaves nothing behind


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, OSError, SystemExit])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_in_the_middle(tmp_path, error, exists):
    base = tmp_path / "models" / "model"
    if exists:
        write(base)
    before = content(tmp_path)

    def fails():
        with Version(base, None, False).incoming() as directory:
            (directory / "variables").mkdir()
            raise error("in the middle")

    with pytest.raises(error):
        fails()
    assert content(tmp_path) == before


def test_a_failed_replacement_leaves_the_old_version(tmp_path, monkeypatch):
    base = tmp_path / "model"
    write(base, 1, text="old")
    before, rename, calls = content(base), os.rename, []

    def fails_the_second_time(source, destination):
        calls.append(destination)
        if len(calls) == 2:
            raise OSError("no")
        rename(source, destination)

    monkeypatch.setattr(publish.os, "rename", fails_the_second_time)
    with pytest.raises(OSError, match="nothing was published"):
        write(base, 1, overwrite=True)
    monkeypatch.undo()
    assert content(base) == before
    assert (base / "1" / "saved_model.pb").read_text() == "old"


def test_a_full_disk_is_an_error_that_says_so(tmp_path):
    script = f"""
import resource
from tfgig.export.publish import Version
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    with Version({str(tmp_path / "model")!r}, None, False).incoming() as directory:
        (directory / "variables").write_bytes(bytes(20_000))
except OSError as error:
    print(error)
"""
    printed = run_python("-c", script).stdout
    assert "nothing was published. Is the disk full" in printed
    assert content(tmp_path) == []


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"file.*nothing was published"),
        Version(tmp_path / "file" / "model", None, False).incoming(),
    ):
        raise AssertionError("never reached")
    assert content(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_place_that_is_read_only(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with (
            pytest.raises(OSError, match="read-only"),
            Version(tmp_path / "model", None, False).incoming(),
        ):
            raise AssertionError("never reached")
    finally:
        tmp_path.chmod(0o755)


# Two at a time


def taken_at_the_last_moment(base, monkeypatch):
    """Another export publishes version 1 between our last look and our rename."""
    rename = os.rename

    def late(source, destination):
        monkeypatch.setattr(publish.os, "rename", rename)
        write(base, 1, text="theirs")
        rename(source, destination)

    monkeypatch.setattr(publish.os, "rename", late)


def test_a_number_that_is_taken_at_the_last_moment(tmp_path, monkeypatch):
    base = tmp_path / "model"
    taken_at_the_last_moment(base, monkeypatch)
    assert write(base, text="ours") == base / "2"
    assert (base / "1" / "saved_model.pb").read_text() == "theirs"
    assert (base / "2" / "saved_model.pb").read_text() == "ours"
    assert list(versions(base)) == [1, 2]


def test_a_chosen_number_that_is_taken_at_the_last_moment(tmp_path, monkeypatch):
    base = tmp_path / "model"
    taken_at_the_last_moment(base, monkeypatch)
    with pytest.raises(FileExistsError):
        write(base, 1, text="ours")
    assert (base / "1" / "saved_model.pb").read_text() == "theirs"
    assert content(base) == ["1", "1/assets.extra", "1/saved_model.pb"]


def test_many_at_once_all_get_numbers_of_their_own(tmp_path):
    base, together, found = tmp_path / "model", threading.Barrier(8), []

    def publish_one():
        version = Version(base, None, False)
        with version.incoming() as directory:
            (directory / "saved_model.pb").write_text("")
            together.wait(30)
        found.append(version.directory)

    threads = [threading.Thread(target=publish_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(int(path.name) for path in found) == list(range(1, 9))
    assert list(versions(base)) == list(range(1, 9))
    assert {path.name for path in base.iterdir()} == {str(n) for n in range(1, 9)}
