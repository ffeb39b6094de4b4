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


SPAWNING = """
import os, signal, sys, time
from multiprocessing import get_context
from sharpdiv.empirical.engines.parsl_job import busy

def work(folder, at_work):
    if at_work:
        with busy():
            wait(folder)
    wait(folder)

def wait(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(60)

if __name__ == "__main__":
    folder, at_work = sys.argv[1], sys.argv[2] == "busy"
    get_context("spawn").Process(target=work, args=(folder, at_work)).start()
    while not os.listdir(folder):
        time.sleep(0.01)
    time.sleep(0.5)  # it is seen
    os.kill(int(os.listdir(folder)[0]), signal.SIGKILL)
    time.sleep(1.0)
    os._exit(7)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc, to look for processes")
@pytest.mark.parametrize(("doing", "status"), [("busy", 7), ("idle", -signal.SIGKILL)])
def test_a_job_whose_idle_worker_is_killed_ends(doing: str, status: int, tmp_path: Path) -> None:
    """It may hold the lock by which all wait for work; one at work holds none."""
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    (tmp_path / "started").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, str(script), str(tmp_path / "started"), doing]
        assert run(command, ["127.0.0.1"], server.getsockname()[1], every=0.05) == status
