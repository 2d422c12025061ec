"""Handles that are addresses, of a hub on this machine, and archives."""

import functools
import gzip
import hashlib
import http.server
import io
import pathlib
import tarfile
import threading
import tracemalloc
import urllib.parse

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig.models.sources import archive

GOOD = {"module": "scores", "reusable": "output_0", "tf1_hub": "default"}


def packed(*entries):
    """A .tar.gz of entries: (name, bytes), or a TarInfo that holds nothing."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            tar.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The contents of good archives, and of bad ones, by name."""
    contents = {}
    for kind in GOOD:
        place = tmp_path_factory.mktemp(kind)
        sources.WRITERS[kind][0](place / "model", place)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(place / "model", arcname=".")
        contents[kind] = buffer.getvalue()
    outside = tmp_path_factory.getbasetemp() / "outside"
    return contents | {
        "truncated": contents["module"][: len(contents["module"]) // 2],
        "escaping": packed(("saved_model.pb", b""), ("../outside", b"x")),
        "absolute": packed((str(outside), b"x")),
        "symlink": packed(link("variables", "/etc"), ("variables/passwd", b"x")),
        "hardlink": packed(link("saved_model.pb", "/etc/passwd", tarfile.LNKTYPE)),
        "file and directory": packed(("a", b"x"), ("a/b", b"x")),
        "long name": packed(("a" * (32 << 20), b"x")),
        "page": b"<html>Not here.</html>",
        "nothing": packed(("readme.txt", b"x")),
    }


class Hub(http.server.BaseHTTPRequestHandler):
    """Speaks the compressed protocol: the archive at <name>/1?tf-hub-format=compressed."""

    def __init__(self, contents, *arguments):
        self.contents = contents
        super().__init__(*arguments)

    def do_GET(self):
        if self.path.startswith("/moved/"):
            _, _, to, name = self.path.split("/", 3)
            self.send_response(302)
            self.send_header("Location", f"{urllib.parse.unquote(to)}/{name}")
            self.end_headers()
            return
        address = urllib.parse.urlsplit(self.path)
        content = self.contents.get(address.path.strip("/").removesuffix("/1"))
        if content is None or address.query != "tf-hub-format=compressed":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-tar-gz")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture(scope="module")
def hub(archives):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, archives))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", GOOD)
def test_a_module_of_a_hub_is_loaded_and_exported(hub, kind, tmp_path):
    source = tfgig.load_model(f"{hub}/{kind}/1")
    assert source.name == kind
    (found,) = [source.cut.forward(tf.constant(sources.X)).values[GOOD[kind]]]
    np.testing.assert_allclose(found, sources.scores_of(sources.X), rtol=1e-5)
    target = tfgig.targets.ClassScore(output_name=GOOD[kind])
    export = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"], target)
    assert (export / "saved_model.pb").is_file()


def test_a_module_is_downloaded_once(hub, archives, cache):
    tfgig.load_model(f"{hub}/module/1")
    kept = archives.pop("module")
    try:
        tfgig.load_model(f"{hub}/module/1")
    finally:
        archives["module"] = kept
    assert cache.is_dir()


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("missing", OSError, r"No model was found \(HTTP 404\)"),
        ("truncated", OSError, "download of the model failed.*try again"),
        ("page", OSError, "download of the model failed"),
        ("escaping", ValueError, r"do not trust it: .*'\.\./outside'"),
        ("symlink", ValueError, "do not trust it: "),
        ("hardlink", ValueError, "do not trust it: "),
        ("nothing", FileNotFoundError, "no SavedModel or version of one"),
    ],
)
def test_what_is_wrong_with_a_download_is_said(hub, cache, name, kind, error):
    for _ in range(2):  # nothing half is kept and taken for whole the next time
        with pytest.raises(kind, match=f"(?s){error}"):
            tfgig.load_model(f"{hub}/{name}/1")
    assert not (cache.parent / "outside").exists()


def test_plain_http_of_other_machines_is_refused():
    with pytest.raises(ValueError, match="can be replaced on the way; use https://"):
        tfgig.load_model("http://hub.example/model/1")


def test_every_hop_is_checked(hub):
    def moved(to):
        return f"{hub}/moved/{urllib.parse.quote(to, safe='')}/module/1"

    assert tfgig.load_model(moved(hub)).name == "module"
    for to in ("http://hub.example", "ftp://hub.example"):
        for hop in (to, f"{hub}/moved/{urllib.parse.quote(to, safe='')}"):
            with pytest.raises(ValueError, match=f"replaced on the way.*Received: '{to}/module"):
                tfgig.load_model(moved(hop))


def test_without_a_cache_that_is_named_the_users_own_is_taken(hub, tmp_path, monkeypatch):
    """And not one that is shared, into which anybody may have put a program for this address."""
    address = f"{hub}/module/1"
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "shared"))
    planted = tmp_path / "shared" / "tfhub_modules" / hashlib.sha1(address.encode()).hexdigest()
    tf.saved_model.save(tf.Module(), str(planted))
    assert tfgig.load_model(address).name == "module"
    own = tmp_path / "home" / "tfgig" / "hub"
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    with pytest.raises(ValueError, match=r"Other users can write to .*chmod 700.*Received"):
        tfgig.load_model(address)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_an_archive_is_loaded_and_exported(archives, tmp_path, suffix):
    file = tmp_path / f"mine{suffix}"
    file.write_bytes(archives["module"])
    source = tfgig.load_model(file)
    assert source.name == "mine"
    target = tfgig.targets.ClassScore(output_name="scores")
    export = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"], target)
    assert [path.name for path in (export / "assets").iterdir()] == ["labels.txt"]


def test_an_archive_of_a_directory_with_its_name(archives, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(archives["reusable"])) as tar:
        files = [(m.name, tar.extractfile(m).read()) for m in tar.getmembers() if m.isreg()]
    file = tmp_path / "model.tar"
    file.write_bytes(gzip.decompress(packed(*((f"./mine/{n}", content) for n, content in files))))
    assert tfgig.load_model(file).name == "model"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("truncated", "damaged or truncated; download or copy it again"),
        ("page", "damaged or truncated"),
        ("escaping", r"leads outside.*'\.\./outside'"),
        ("absolute", "leads outside"),
        ("symlink", "a link.*'variables'"),
        ("hardlink", "a link.*'saved_model.pb'"),
        ("file and directory", "damaged or truncated"),
        ("long name", "a header of 1 MiB"),
    ],
)
def test_a_bad_archive_is_refused(archives, tmp_path, monkeypatch, name, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "model.tgz"
    file.write_bytes(archives[name])
    with pytest.raises(ValueError, match=error):
        tfgig.load_model(file)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tgz", "temporary"]


def test_an_archive_that_swells_is_refused(tmp_path):
    file = tmp_path / "bomb.tgz"
    file.write_bytes(packed(*((f"part{index}", bytes(1 << 20)) for index in range(4))))
    assert file.stat().st_size < 1 << 16
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="more than 2 MiB"):
        archive.unpack(file, tmp_path / "out", max_bytes=2 << 20)
    written = sum(path.stat().st_size for path in pathlib.Path(tmp_path / "out").iterdir())
    assert written <= 2 << 20


def test_a_long_header_is_not_read_whole(archives, tmp_path):
    file = tmp_path / "bomb.tgz"
    file.write_bytes(archives["long name"])
    (tmp_path / "out").mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="a header of 1 MiB"):
            archive.unpack(file, tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
