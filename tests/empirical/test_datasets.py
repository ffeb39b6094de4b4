"""Data sets on disk: what was published comes back, damage is named, and no file has its name before it is whole."""

import contextlib
import gzip
import hashlib
import io
import tarfile
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from empirical import InputError, StoreError, datasets, parsers
from empirical.datasets import DATASETS, Dataset, RawFile, RawImages, fetch, installed, load_images, verify
from empirical.parsers import Extent
from tests.laws import Mutation, law

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
LABELS = [(3 * i) % 10 for i in range(60)]
FILE = "small.tar.gz"
DECODED = "decoded.safetensors"


def archive() -> bytes:
    """CIFAR-10's binary archive with ten images in a batch."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for batch, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            here = range(10 * batch, 10 * batch + 10)
            content = b"".join(bytes([LABELS[i]]) + IMAGES[i].tobytes() for i in here)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), 1, mtime=0)


RAW = archive()
MD5 = hashlib.md5(RAW).hexdigest()  # noqa: S324  # what is published


def small(url: str | None = None) -> Dataset:
    raw = RawFile(FILE, {f"md5:{MD5}": len(RAW)}, url)
    extent = Extent(train=50, test=10, channels=3, size=32, classes=10)
    return Dataset("small", (raw,), extent, parsers.cifar10, "none", "nobody")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "small", small())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def put(folder: Path, content: bytes = RAW) -> Path:
    """The raw file in its place."""
    path = folder / "small" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def damage(path: Path, position: float, bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))


def assert_published(images: RawImages) -> None:
    assert np.array_equal(images.train_images.numpy(), IMAGES[:50])
    assert np.array_equal(images.test_images.numpy(), IMAGES[50:])
    assert images.train_labels.tolist() == LABELS[:50]
    assert images.test_labels.tolist() == LABELS[50:]
    assert images.classes == 10
    assert images.source_sha256 == hashlib.sha256(RAW).hexdigest()


# ------------------------------------------------------------------------------------------------------------------ loading


def test_the_first_load_decodes_and_later_ones_do_not_need_the_raw_file(tmp_path: Path) -> None:
    raw = put(tmp_path)
    told: list[tuple[str, int, int]] = []
    assert_published(load_images("small", tmp_path, lambda *a: told.append(a)))
    assert told[-1] == ("decoding", 6, 6)
    raw.unlink()
    again = load_images("small", tmp_path, lambda *a: told.append(a))
    assert_published(again)
    assert len(told) == 6
    again.train_images[0] = 0  # what was loaded may be changed, and the file stays as it is
    assert_published(load_images("small", tmp_path))


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("data")


FOLDER = Path()


@law(
    Mutation("no checksum", "empirical.store._tensor_digest", lambda _: lambda *a: "same"),
    examples=50,
    # The header is the first 600 bytes of 185,000: it deserves more than its share.
    position=st.floats(0, 1, exclude_max=True) | st.floats(0, 600 / 185_000),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_of_the_decoded_file_is_named_and_mended(position: float, bit: int) -> None:
    put(FOLDER)
    path = FOLDER / "small" / DECODED
    if not path.exists():
        load_images("small", FOLDER)
    damage(path, position, bit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            images = load_images("small", FOLDER)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        finally:
            path.unlink()
    assert_published(images)
    # Without a warning the flip hit the header's padding, which means nothing.
    assert all(DECODED in str(w.message) and "made anew" in str(w.message) for w in caught)


@pytest.mark.parametrize("keep", [0, 7, 300, 100_000])
def test_a_truncated_decoded_file_is_named_and_mended(tmp_path: Path, keep: int) -> None:
    put(tmp_path)
    load_images("small", tmp_path)
    path = tmp_path / "small" / DECODED
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert [check.ok for check in verify("small", tmp_path)] == [True, False]
    with pytest.warns(UserWarning, match=rf"{DECODED} is damaged .* made anew"):
        assert_published(load_images("small", tmp_path))
    assert path.read_bytes() == whole


def test_what_another_decoder_made_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    load_images("small", tmp_path)
    monkeypatch.setattr(datasets, "_DECODER", datasets._DECODER + 1)
    assert "another decoder" in verify("small", tmp_path)[1].detail
    with pytest.warns(UserWarning, match=rf"{DECODED} was made of other raw files or by another decoder"):
        assert_published(load_images("small", tmp_path))
    assert_published(load_images("small", tmp_path))


def test_only_jpeg_images_depend_on_the_library_that_decodes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [replace(small(), jpeg=jpeg).recipe for jpeg in (False, True)]
    monkeypatch.setattr("empirical.datasets.features.version", lambda _: "0.0")
    after = [replace(small(), jpeg=jpeg).recipe for jpeg in (False, True)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, f"{FILE} is missing"),
        (RAW[:-1], f"{FILE} is not the published file: it has {len(RAW) - 1} bytes, expected {len(RAW)}"),
        (RAW[:99] + bytes([RAW[99] ^ 1]) + RAW[100:], f"{FILE} is not the published file: it has md5:"),
    ],
)
def test_raw_files_that_are_not_as_published_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    raw = put(tmp_path)
    load_images("small", tmp_path)
    raw.unlink() if content is None else raw.write_bytes(content)
    assert_published(load_images("small", tmp_path))  # it is not needed
    assert [check.ok for check in verify("small", tmp_path)] == [False, True]
    assert message in verify("small", tmp_path)[0].detail
    damage(tmp_path / "small" / DECODED, 0.5)
    with pytest.raises(StoreError, match=rf"(?s){DECODED} is damaged.*{message}.*`sharpdiv data fetch small`"):
        load_images("small", tmp_path)
    (tmp_path / "small" / DECODED).unlink()
    with pytest.raises(StoreError, match=f"{message}.*`sharpdiv data fetch small`"):
        load_images("small", tmp_path)
    assert not (tmp_path / "small" / DECODED).exists()


def test_what_is_not_here_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cifar-10-binary.tar.gz is missing; `sharpdiv data fetch cifar10`"):
        load_images("cifar10", tmp_path)
    assert not list(tmp_path.iterdir())
    for name in ("mnist", "digits", "../small", ""):
        for function in (load_images, fetch, verify):
            with pytest.raises(InputError, match=r"one of cifar10, cifar100.*got"):
                function(name, folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"small cannot be written .*SHARPDIV_DATA"):
        fetch("small", tmp_path / FILE, tmp_path)


def test_the_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path))
    assert datasets.data_folder() == tmp_path
    put(tmp_path)
    assert_published(load_images("small"))
    monkeypatch.setenv("SHARPDIV_DATA", "")
    assert datasets.data_folder().name == "sharpdiv"


def test_a_table_of_what_is_here(tmp_path: Path) -> None:
    rows = {row.name: row for row in installed(tmp_path)}
    assert list(rows) == list(DATASETS)
    assert not any(row.here for row in rows.values())
    assert rows["cifar10"].images == "50000 + 10000 of 3x32x32"
    assert rows["fashion-mnist"].size == 30_878_645  # the four files as Zalando publishes them
    raw = put(tmp_path)
    assert {row.name: row for row in installed(tmp_path)}["small"].here
    load_images("small", tmp_path)
    raw.unlink()
    row = {row.name: row for row in installed(tmp_path)}["small"]
    assert (row.here, row.where) == (True, tmp_path / "small")


@pytest.mark.parametrize("name", DATASETS)
def test_the_registry_is_whole(name: str) -> None:
    dataset = DATASETS[name]
    assert dataset.name == name
    assert dataset.licence
    assert dataset.citation
    for file in dataset.files:
        assert (file.url is None) == (name == "cifar10-jpeg")
        assert file.url is None or file.url.endswith(f"/{file.name}")
        for checksum, size in file.editions.items():
            kind, digits = checksum.split(":")
            assert len(digits) == {"md5": 32, "sha256": 64}[kind]
            assert set(digits) <= set("0123456789abcdef")
            assert size > 0


# ------------------------------------------------------------------------------------------------------------------ fetching


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
    for wrong, message in (
        (source, f"elsewhere.bin is not the published file: it has md5:.*, expected md5:{MD5}"),
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


def test_processes_that_need_the_same_data_set_share_the_work(tmp_path: Path, server: Server) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        futures = [pool.submit(fetch_and_load, DATASETS["small"], tmp_path) for _ in range(2)]
        results = [future.result() for future in futures]
    assert {content for _, content in results} == {hashlib.sha256(IMAGES[:50].tobytes()).hexdigest()}
    assert sorted(what for done, _ in results for what in done) == ["decoding", f"downloading {FILE}"]
    assert len(server.requests) == 1
    assert [check.ok for check in verify("small", tmp_path)] == [True, True]
