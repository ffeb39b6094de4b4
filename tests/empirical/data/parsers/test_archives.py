"""Damaged or odd archives are InputErrors that name the file."""

import contextlib
import gzip
import tarfile

import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.data.parsers import archives
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.parsers.builders import FILE, bits, flipped, idx, outcome, pixels, positions, tar
from tests.laws import Mutation, law

UNNAMED = Mutation(
    "errors of the decoders let through",
    "sharpdiv.empirical.data.parsers.archives.naming",
    lambda _: contextlib.nullcontext,
)
SOME_IDX = idx(pixels(4, 3, 2, 5))


GZIPPED = gzip.compress(SOME_IDX, mtime=0)


@law(
    UNNAMED,
    examples=300,
    content=st.binary(max_size=80)
    | st.builds(flipped, st.just(GZIPPED), positions, bits)
    | st.integers(0, len(GZIPPED) - 1).map(lambda n: GZIPPED[:n])
    | st.binary(min_size=1, max_size=5).map(lambda more: GZIPPED + more),
)
def test_damaged_gzip_is_refused(content: bytes) -> None:
    unpacked = outcome(lambda: archives.gunzip(content, FILE))
    # The time in its header and the bits after its last block mean nothing.
    assert unpacked is None or unpacked == SOME_IDX


@law(
    Mutation(
        "a stream may break off",
        "sharpdiv.empirical.data.parsers.archives.expect",
        lambda f: lambda c, *a: f(c or "breaks" in a[1], *a),
    ),
    examples=50,
    keep=st.integers(0, len(GZIPPED) - 1),
)
def test_truncated_gzip_is_refused(keep: int) -> None:
    assert outcome(lambda: archives.gunzip(GZIPPED[:keep], FILE)) is None


TARRED = tar({"a": b"x" * 600, "b": b"y" * 10})[
    :3584
]  # with the end of the archive, without what fills a block of a tape
HEADERS = [*range(512), *range(512 + 1024, 1024 + 1024)]


@law(
    UNNAMED,
    Mutation(
        "members may be missing",
        "sharpdiv.empirical.data.parsers.archives.expect",
        lambda f: lambda c, *a: f(c or "no b" in a[1], *a),
    ),
    examples=400,
    content=st.binary(max_size=1200)
    | st.builds(lambda i, bit: flipped(TARRED, (HEADERS[i] + 0.5) / len(TARRED), bit), st.integers(0, 1023), bits)
    | st.integers(0, 2057).map(lambda n: TARRED[:n])  # the last byte of b is 2,057; what follows is padding
    | st.sampled_from([TARRED[1536:] + TARRED[:1536], TARRED + TARRED, TARRED[:1536]]),
)
def test_damaged_tar_is_refused(content: bytes) -> None:
    members = outcome(lambda: archives.tar_members(content, ("b", "a"), FILE))
    assert members is None or members == [b"y" * 10, b"x" * 600]


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


def headers(*infos: tarfile.TarInfo) -> bytes:
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) for info in infos) + bytes(1024)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar({"a": b""}), "got no b, expected 2 members"),
        (tar({"a": b"", "b": b"", "../c": b""}), r"a member with the path '\.\./c'"),
        (tar({"a": b"", "b": b"", "/c": b""}), "a member with the path '/c'"),
        (headers(member("a"), member("b"), member("a")), "got a twice"),
        (headers(member("a"), member("b", tarfile.SYMTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.LNKTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.DIRTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.FIFOTYPE)), "no whole file b"),
        (headers(member("a"), member("b", size=2**40)), "ReadError"),
        (headers(member("a"), member("b", size=-512)), "negative size"),
        (headers(member("a"), member("c", size=-1024)), "negative size"),
    ],
)
def test_tars_that_hold_something_else_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"{FILE}.*{message}"):
        archives.tar_members(content, ("a", "b"), FILE)


def test_gzip_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(bytes(10**6))
    assert archives.gunzip(content, FILE) == bytes(10**6)
    monkeypatch.setattr("sharpdiv.empirical.data.parsers.archives._LARGEST_ARCHIVE", 10**6 - 1)
    with pytest.raises(InputError, match=r"more than 999999 bytes"):
        archives.gunzip(content, FILE)
