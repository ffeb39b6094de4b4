"""Processes that do pieces of work: what they touch, and what they keep."""

import ctypes
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sharpdiv.empirical.atomic import write_atomically
from sharpdiv.empirical.engines import allocator
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import ended_by_sigterm, prepare_process, single_thread
from sharpdiv.empirical.errors import InputError

STEP = """
import resource, sys, torch
from sharpdiv.empirical.engines.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
for _ in range(40):
    if _ == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    total = torch.ones(10_000_000).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, float(total))
"""


def glibc() -> bool:
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.slow
@pytest.mark.skipif(not glibc(), reason="about glibc's allocator")
def test_large_blocks_stay_with_the_process() -> None:
    """Page faults are those of the first steps; all else is the same."""
    faults, totals = {}, set()
    for how in ("given back", "kept"):
        found = subprocess.run([sys.executable, "-c", STEP, how], check=True, capture_output=True, text=True).stdout
        count, total = found.split()
        faults[how] = int(count)
        totals.add(total)
    assert faults["given back"] > 35 * 10  # 40 MB in each step, in pages of 4 kB, or of 2 MB where the system has such
    assert faults["kept"] < faults["given back"] / 5
    assert len(totals) == 1


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert allocator.keep_memory() is False


def test_a_gpu_is_touched_only_if_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many workers as there may be take the GPUs in turns."""
    monkeypatch.setattr("sharpdiv.empirical.engines.workers.keep_memory", lambda: False)
    touched: list[int] = []
    monkeypatch.setattr("torch.cuda.set_device", touched.append)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.is_available", lambda: pytest.fail("asked for it"))
    with single_thread():
        for device in (None, torch.device("cpu"), torch.device("mps")):
            prepare_process(device, 1)
        assert touched == []
        for number in range(4):
            prepare_process(torch.device("cuda"), number)
    assert touched == [0, 1, 2, 0]


def test_a_worker_that_sees_no_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="sees no GPU"):
        prepare_process(torch.device("cuda"), 3)


def test_sigterm_unwinds() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as raised, ended_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert raised.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_callers_own_way_with_sigterm_is_kept() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with ended_by_sigterm():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_two_hosts_write_under_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their processes may have one number."""
    names: list[str] = []
    monkeypatch.setattr(Path, "replace", lambda self, _: names.append(self.name))
    for host in ("n1", "n2"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        write_atomically(tmp_path / "file", b"")
    assert len(set(names)) == 2
    assert all(name.startswith(".file.") and name.endswith(".tmp") for name in names)  # found when they are left over


def test_a_pool_has_at_least_one_worker() -> None:
    with pytest.raises(InputError, match="workers must be at least 1, got 0"):
        Pool(workers=0)
