"""A job's program ends by itself, or when nobody is there any more who would get its work."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sharpdiv.empirical.engines.parsl_job import run

FOREVER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_program_ends_when_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert run(FOREVER, ["127.0.0.1", "nowhere.invalid"], port, every=0.05, silence=0.1) == -signal.SIGKILL


LEAVING = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
if sys.argv[1:] == ["stay"]:
    child.wait()
os.kill(os.getpid(), 9)
"""


def gone(process: int) -> bool:
    """Whether a process ends within a second or two."""
    for _ in range(200):
        try:
            os.kill(process, 0)
            if (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # nobody has asked how it ended
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_what_a_killed_program_started_ends(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([sys.executable, "-c", LEAVING], [], 9) == -signal.SIGKILL
    assert gone(int(capfd.readouterr().out))


def test_sigterm_ends_all_of_it() -> None:
    command = [
        sys.executable,
        "-m",
        "sharpdiv.empirical.engines.parsl_job",
        "127.0.0.1",
        "9",
        sys.executable,
        "-c",
        LEAVING,
    ]
    with subprocess.Popen([*command, "stay"], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        started = int(job.stdout.readline())
        job.terminate()
    assert job.returncode == 128 + signal.SIGTERM
    assert gone(started)


def test_a_program_goes_on_while_somebody_answers() -> None:
    """On one of the machine's addresses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = "import time; time.sleep(0.5); raise SystemExit(3)"
        assert run([sys.executable, "-c", code], ["127.0.0.2", "127.0.0.1"], port, every=0.05, silence=0.1) == 3
