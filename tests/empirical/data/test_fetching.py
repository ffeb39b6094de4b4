"""Fetching: what is not the published file is refused, and no file has its name before it is whole."""

import contextlib
import gzip
import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpdiv.empirical.data.dataset import Dataset, RawFile
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.fetching import fetch
from sharpdiv.empirical.data.loading import load_images
from sharpdiv.empirical.data.verifying import verify
from sharpdiv.empirical.engines.workers import start_context
from sharpdiv.empirical.errors import InputError, StoreError
from tests.empirical.data.small import FILE, IMAGES, MD5, RAW, assert_published, damage, put, small


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "small", small())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"small cannot be written .*SHARPDIV_DATA"):
        fetch("small", tmp_path / FILE, tmp_path)


class Server(ThreadingHTTPServer):
    """Answers every request alike: with a status, a content, and the length it claims the content has."""

    status, content, length = 200, RAW, len(RAW)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{FILE}"


class Handler(BaseHTTPRequestHandler):
    """One request to a ``Server``."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who has read enough hangs up
            self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setitem(DATASETS, "small", small(running.url))
        yield running
        running.shutdown()
        thread.join()


def test_a_download_takes_its_name_once_it_is_verified(tmp_path: Path, server: Server) -> None:
    told: list[tuple[str, int, int]] = []
    assert fetch("small", folder=tmp_path, progress=lambda *a: told.append(a)) == tmp_path / "small"
    assert (tmp_path / "small" / FILE).read_bytes() == RAW
    assert told[-1] == (f"downloading {FILE}", len(RAW), len(RAW))
    assert server.requests[0]["Accept-Encoding"] == "identity"
    assert_published(load_images("small", tmp_path))
    fetch("small", folder=tmp_path)
    assert len(server.requests) == 1  # what is here is not fetched again,
    damage(tmp_path / "small" / FILE, 0.5)
    fetch("small", folder=tmp_path)
    assert len(server.requests) == 2  # unless it is damaged
    assert [check.ok for check in verify("small", tmp_path)] == [True, True]


@pytest.mark.parametrize(
    ("status", "content", "length", "message"),
    [
        (404, b"", 0, "404"),
        (200, RAW[:5000], 5000, f"it has 5000 bytes, expected {len(RAW)}"),
        (200, RAW[:5000], len(RAW), "IncompleteRead"),
        (200, RAW[:-1] + b"x", len(RAW), "not the published file: it has md5"),
        (200, RAW + bytes(10**6), len(RAW) + 10**6, f"more than the published {len(RAW)} bytes"),
    ],
)
def test_a_download_that_fails_leaves_what_was_there(
    tmp_path: Path, server: Server, status: int, content: bytes, length: int, message: str
) -> None:
    server.status, server.content, server.length = status, content, length
    with pytest.raises(StoreError, match=f"{FILE} could not be downloaded .*{message}.*try again"):
        fetch("small", folder=tmp_path)
    assert {path.name for path in (tmp_path / "small").iterdir()} <= {".lock"}
    put(tmp_path, b"old")
    with pytest.raises(StoreError, match=message):
        fetch("small", folder=tmp_path)
    assert (tmp_path / "small" / FILE).read_bytes() == b"old"


def test_no_server_no_file(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "small", small("http://127.0.0.1:1/small.tar.gz"))  # nobody listens there
    with pytest.raises(StoreError, match="could not be downloaded"):
        fetch("small", folder=tmp_path)


def test_a_local_source_is_verified_and_copied(tmp_path: Path) -> None:
    source, folder = tmp_path / "elsewhere.bin", tmp_path / "data"
    source.write_bytes(RAW)
    fetch("small", source, folder)
    assert_published(load_images("small", folder))
    put(tmp_path / "source")
    fetch("small", tmp_path / "source" / "small", folder)
    source.write_bytes(RAW[::-1])
    pickled = tmp_path / "small-python.tar.gz"
    pickled.write_bytes(b"abc")
    for wrong, message in (
        (source, f"elsewhere.bin is not the published file: it has md5:.*, expected md5:{MD5}"),
        (pickled, f"it has 3 bytes, expected {len(RAW)}; the edition for Python is not read, .*: get {FILE}"),
        (tmp_path / "nowhere", "nowhere is missing"),
        (tmp_path, f"{FILE} is missing"),
    ):
        with pytest.raises(InputError, match=message):
            fetch("small", wrong, folder)
    assert (folder / "small" / FILE).read_bytes() == RAW


def test_what_cannot_be_downloaded_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"cifar10-jpeg cannot be downloaded: .*cifar10-jpeg.zip \(sha256:ead45e.*source"
    ):
        fetch("cifar10-jpeg", folder=tmp_path)
    (tmp_path / "a.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"several files; .*a folder with train-images.*t10k-labels.*got .*a.gz"):
        fetch("fashion-mnist", tmp_path / "a.gz", tmp_path)


def test_either_edition_of_a_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Debian does: the same stream without the file name in gzip's header.
    stream = io.BytesIO()
    with gzip.GzipFile("small.tar", "wb", 1, stream, mtime=0) as file:
        file.write(gzip.decompress(RAW))
    named = stream.getvalue()
    assert len(named) == len(RAW) + len("small.tar") + 1
    editions = {f"sha256:{hashlib.sha256(content).hexdigest()}": len(content) for content in (named, RAW)}
    monkeypatch.setitem(DATASETS, "small", replace(small(), files=(RawFile(FILE, editions),)))
    for content in (named, RAW):
        folder = tmp_path / str(len(content))
        fetch("small", put(tmp_path / "source", content), folder)
        assert np.array_equal(load_images("small", folder).train_images.numpy(), IMAGES[:50])
    with pytest.raises(InputError, match=f"expected {len(named)} or {len(RAW)}"):
        fetch("small", put(tmp_path / "source", b""), folder)


def fetch_and_load(dataset: Dataset, folder: Path) -> tuple[list[str], str]:
    """In another process: what was done there, and the first label."""
    DATASETS["small"] = dataset
    told: list[str] = []
    fetch("small", folder=folder, progress=lambda what, *_: told.append(what))
    images = load_images("small", folder, lambda what, *_: told.append(what))
    return sorted(set(told)), hashlib.sha256(images.train_images.numpy().tobytes()).hexdigest()


@pytest.mark.slow
def test_processes_that_need_the_same_data_set_share_the_work(tmp_path: Path, server: Server) -> None:
    with ProcessPoolExecutor(2, start_context()) as pool:
        futures = [pool.submit(fetch_and_load, DATASETS["small"], tmp_path) for _ in range(2)]
        results = [future.result() for future in futures]
    assert {content for _, content in results} == {hashlib.sha256(IMAGES[:50].tobytes()).hexdigest()}
    assert sorted(what for done, _ in results for what in done) == ["decoding", f"downloading {FILE}"]
    assert len(server.requests) == 1
    assert [check.ok for check in verify("small", tmp_path)] == [True, True]
