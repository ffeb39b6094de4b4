"""Output that is cut short, or that cannot be encoded, gives no traceback."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SHARPDIV = (sys.executable, "-m", "sharpdiv")


def call(*arguments: str, encoding: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*SHARPDIV, *arguments], capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": encoding}
    )


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", b"+-"), ("utf-8", "±".encode()), ("latin-1", b"\xb1")])
def test_what_a_stream_cannot_encode_is_spelled_out(encoding: str, sign: bytes) -> None:
    done = call("simulate", "sam", "--rho", "0.1", "--draws", "2", "--inits", "2", encoding=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sign in done.stdout


def test_errors_are_spelled_out() -> None:
    done = call("theory", "sam", "--rho", "0.1", "--json", "ρ±.csv", encoding="ascii")
    assert done.returncode == 2
    assert b"'?+-.csv'" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", ["version", "theory sam --rho 0.1"])
def test_closed_streams_get_nothing(arguments: str, closed: str) -> None:
    command = f"{shlex.join(SHARPDIV)} {arguments} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (closed == "2>&-")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said_in_one_line(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*SHARPDIV, "version"], stdout=full, stderr=subprocess.PIPE, check=False, env=environment)
    assert done.returncode == 2
    assert re.fullmatch(rb"sharpdiv: error: .*No space left on device\n", done.stderr)


@pytest.mark.parametrize("arguments", [("theory", "sam", "--rho", "0:0.1:5000", "--json", "-"), ("--help",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(arguments: tuple[str, ...], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run([*SHARPDIV, *arguments], stdout=writing, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
