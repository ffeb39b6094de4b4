"""Pool, Parsl and SLURM end with the same bits as one process, also when a worker or a job is lost, and leave no process behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sharpdiv.empirical.engines.parsl_engine import _SILENCE
from sharpdiv.empirical.runs.folders import run_folder
from tests.cluster.slurm import call, lacking, two_nodes
from tests.cluster.tiny import STEPS, TINY

PROJECT = Path(__file__).parents[2]
MARK = f"SHARPDIV_TEST={uuid.uuid4().hex}"
SECONDS = 60
"""In which whatever an ended engine started is gone; a job notices within 30 that nobody is there any more."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc, to look for processes"),
]


def started() -> list[int]:
    """Processes of this test that are alive, with their descendants, on whatever node: all inherit the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            alive = MARK.encode() in (folder / "environ").read_bytes()
            if alive and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def children(process: "subprocess.Popen[str]") -> list[int]:
    """Parsl's interchange among them, whose title takes the place of its environment, and with it of the mark."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def send(what: signal.Signals, processes: Iterable[int]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):  # ended meanwhile
            os.kill(each, what)


def begin(*arguments: object, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    name, value = MARK.split("=")
    command = [sys.executable, "-m", "tests.cluster.tiny", *map(str, arguments)]
    environment = {**(environment or os.environ), name: value}
    # A process group of its own, as a shell gives it: Ctrl-C is for all of it.
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, process_group=0)


def ended(process: "subprocess.Popen[str]") -> str:
    """The last line of what it said."""
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return said.splitlines()[-1]


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield
    until = time.monotonic() + SECONDS
    while (left := started()) and time.monotonic() < until:
        time.sleep(0.2)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    return ended(begin(1, tmp_path_factory.mktemp("alone")))


def options(folder: Path, *lines: str) -> Path:
    path = folder / "cluster.toml"
    path.write_text("\n".join([*lines, f"setup = 'export PYTHONPATH={PROJECT}'"]))
    return path


@pytest.fixture(params=["pool", "parsl"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Two workers each."""
    if request.param == "pool":
        return 2
    pytest.importorskip("parsl")
    return options(tmp_path, "kind = 'local'", "jobs = 2")


def test_two_workers_give_the_same_bits(engine: object, expected: str, tmp_path: Path) -> None:
    assert ended(begin(engine, tmp_path / "runs")) == expected


def test_a_worker_killed_midway_changes_no_bit(engine: object, expected: str, tmp_path: Path) -> None:
    """Its piece goes on from the last checkpoint."""
    assert len(range(0, TINY.train_samples or 0, TINY.batch_size)) < STEPS  # one was written before
    assert ended(begin(engine, tmp_path / "runs", "--kill")) == expected
    assert (tmp_path / "runs" / "killed").exists()


def test_divergence_stops_only_what_needs_it(engine: object, tmp_path: Path) -> None:
    said = ended(begin(engine, tmp_path / "runs", "--diverge"))
    lost = f"measurement 3 of {TINY.run_id}, result of {TINY.run_id}"
    assert said == f"it diverged; not done for want of it: {lost}"
    made = {path.name for path in run_folder(tmp_path / "runs", TINY).glob("m*.safetensors")}
    assert made == {f"{what}-{seed}.safetensors" for what in ("member", "measured") for seed in (1, 2)}


def test_a_time_limit_and_going_on_change_no_bit(engine: object, expected: str, tmp_path: Path) -> None:
    """The first phase cannot be done in time: it takes 60 steps of .05 seconds, after the start of processes."""
    root = tmp_path / "runs"
    assert ended(begin(engine, root, "--slow", "--stop")).startswith("left ")
    assert ended(begin(engine, root)) == expected


@pytest.mark.parametrize(
    ("how", "tell"),
    [(how, os.kill) for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)]
    + [(how, os.killpg) for how in (signal.SIGTERM, signal.SIGINT)],
)
def test_however_it_ends_nobody_is_left(
    engine: object, how: signal.Signals, tell: Callable[[int, int], None], tmp_path: Path
) -> None:
    process = begin(engine, tmp_path / "runs", "--slow")
    wait_for(process, tmp_path / "runs", "checkpoint-*")
    assert len(started()) > 2
    tell(process.pid, how)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 128 + signal.SIGTERM}.get(how, -how)


def test_jobs_that_begin_when_nobody_is_there_any_more_end(tmp_path: Path) -> None:
    """Parsl's program in them waits for ever for a first answer."""
    pytest.importorskip("parsl")
    toml = options(tmp_path, "kind = 'local'", "jobs = 2")
    process = begin(toml, tmp_path / "runs")
    wait_for(process, tmp_path / "runs", "block-*/*/manager.log")
    process.kill()
    process.communicate(timeout=60)


def test_a_pause_of_everything_changes_no_bit(engine: object, expected: str, tmp_path: Path) -> None:
    """As where a laptop is closed, for longer than Parsl takes a job without a sign of life to be lost."""
    process = begin(engine, tmp_path / "runs", "--slow")
    wait_for(process, tmp_path / "runs", "checkpoint-*")
    asleep = {*started(), *children(process)}  # Parsl's interchange has no mark
    send(signal.SIGSTOP, asleep)
    time.sleep(_SILENCE + 5)
    send(signal.SIGCONT, asleep)
    assert ended(process) == expected


def test_without_parsls_interchange_it_ends_and_can_go_on(expected: str, tmp_path: Path) -> None:
    """Parsl itself would wait for ever for what stands between it and the jobs."""
    pytest.importorskip("parsl")
    toml = options(tmp_path, "kind = 'local'", "jobs = 2")
    process = begin(toml, tmp_path / "runs", "--slow")
    wait_for(process, tmp_path / "runs", "checkpoint-*")
    (interchange,) = (c for c in children(process) if b"interchange" in Path(f"/proc/{c}/cmdline").read_bytes())
    os.kill(interchange, signal.SIGKILL)
    process.communicate(timeout=200)  # it takes Parsl two minutes to see that there is nobody to say good-bye to
    assert process.returncode == 1
    assert ended(begin(toml, tmp_path / "runs")) == expected


def wait_for(process: "subprocess.Popen[str]", root: Path, files: str) -> None:
    while not any(root.rglob(files)):
        assert process.poll() is None
        time.sleep(0.1)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    pytest.importorskip("parsl")
    if reason := lacking():
        pytest.skip(reason)
    with two_nodes(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.mark.slurm
@pytest.mark.parametrize("cancelled", [False, True])
def test_slurm_gives_the_same_bits(slurm: dict[str, str], expected: str, tmp_path: Path, *, cancelled: bool) -> None:
    """Two jobs with a pretended GPU each, on two nodes; one of them cancelled midway, or none."""
    lines = ("kind = 'slurm'", "partition = 'main'", "jobs = 2", "gpus_per_job = 1", "walltime = '00:10:00'")
    toml = options(tmp_path, *lines, "directives = ['--comment=sharpdiv', '--ntasks=1']")
    process = begin(toml, tmp_path / "runs", "--slow", environment=slurm)
    if cancelled:
        wait_for(process, tmp_path / "runs", "checkpoint-*")
        running = call(["squeue", "--noheader", "-t", "R", "-o", "%i"], slurm).split()
        call(["scancel", running[0]], slurm)
    assert ended(process) == expected
