"""Options of a cluster: what a file may say, and what is said about one that says something else."""

import re
import socket
import sys
from pathlib import Path
from unittest.mock import MagicMock
from unittest.mock import call as call_of

import pytest

from sharpdiv.empirical.engines import parsl_engine
from sharpdiv.empirical.engines.cluster import Cluster, read_cluster
from sharpdiv.empirical.engines.parsl_engine import ParslEngine, call
from sharpdiv.empirical.errors import InputError, WorkerError

PAGE = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text(encoding="utf-8")


def written(folder: Path, text: str) -> Path:
    path = folder / "cluster.toml"
    path.write_text(text)
    return path


def test_the_files_of_the_page_can_be_read(tmp_path: Path) -> None:
    local, slurm = (
        read_cluster(written(tmp_path, text)) for text in re.findall(r"```toml\n(.*?)```", PAGE, flags=re.S)
    )
    assert local == Cluster("local", gpus_per_job=4, workers_per_gpu=2)
    assert (local.workers_per_job, local.workers) == (8, 8)
    assert (slurm.workers_per_job, slurm.workers) == (2, 16)
    assert slurm.directives == ("--account=my-account", "--mem=32G")


def test_the_page_has_every_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, flags=re.M))
    assert rows.keys() == set(Cluster.__dataclass_fields__)
    for name in ("gpus_per_job", "workers_per_gpu", "jobs", "retries", "walltime"):
        assert rows[name].strip('`"') == str(getattr(Cluster, name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 2", "kind must be 'local' or 'slurm', got 'none'"),
        ("kind = 'pbs'", "kind must be 'local' or 'slurm', got 'pbs'"),
        ("kind = 1", "kind must be a text, got 1"),
        ("kind = 'local'\njob = 2", "unknown key 'job'; known are kind, gpus_per_job"),
        ("kind = 'local'\njobs = 0", "jobs must be between 1 and 10000, got 0"),
        ("kind = 'local'\njobs = 99999999999999999999", "jobs must be between 1 and 10000, got 99999999999999999999"),
        ("kind = 'local'\njobs = true", "jobs must be a whole number, got True"),
        ("kind = 'local'\njobs = '2'", "jobs must be a whole number, got '2'"),
        ("kind = 'local'\nretries = -1", "retries must be between 0 and 10000, got -1"),
        ("kind = 'local'\npartition = 'gpu'", "partition is an option of kind 'slurm', and kind is 'local'"),
        ("kind = 'local'\njobs = 2\ngpus_per_job = 1", "2 jobs of one machine would use the same GPUs: leave jobs out"),
        ("kind = 'slurm'\nwalltime = '4h'", "walltime must be HH:MM:SS, got '4h'"),
        ("kind = 'slurm'\nwalltime = 4", "walltime must be a text, got 4"),
        ("kind = 'slurm'\ndirectives = '--mem=1G'", "directives must be a list of texts, got '--mem=1G'"),
        ("kind = 'slurm'\ndirectives = [1]", "directives must be a list of texts, got 1 in it"),
        ("kind = 'slurm'\ndirectives = ['mem=1G']", "directives must be options of sbatch .*, got 'mem=1G'"),
        ("kind = local", "is not TOML"),
        ("", "kind must be 'local' or 'slurm', got 'none'"),
        ("kind = ['local']", "kind must be a text, got \\['local'\\]"),
        ("[kind]", "kind must be a text, got {}"),
        ("kind = 'local'\njobs = 2.0", "jobs must be a whole number, got 2.0"),
        (f"kind = {'[' * 5000}", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}:? {message}") as raised:
        read_cluster(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read: No such file"):
        read_cluster(tmp_path / "none.toml")


def test_without_parsl_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "parsl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "parsl", None)
    with pytest.raises(InputError, match=r"pip install '.\[cluster\]'"):
        ParslEngine(Cluster("local"), tmp_path, "cpu")


@pytest.mark.parametrize(("gpus", "numbers"), [(0, [0, 0, 0, 0]), (1, [0, 0, 0, 0]), (2, [0, 1, 0, 1])])
def test_the_workers_of_a_job_take_its_gpus_in_turns(
    gpus: int, numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the machine has more GPUs than the job was to use."""
    taken: list[int] = []
    monkeypatch.setattr(parsl_engine, "prepare_process", lambda _, number: taken.append(number))
    monkeypatch.setattr(parsl_engine, "follow_parent", lambda: None)
    for rank in range(4):
        parsl_engine._prepared.cache_clear()
        monkeypatch.setenv("PARSL_WORKER_RANK", str(rank))
        call("cuda", gpus, int)
    parsl_engine._prepared.cache_clear()
    assert taken == numbers


def test_a_machine_without_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the piece, which nobody else would be given: all would go to where they fail at once."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(WorkerError, match=f"^on {re.escape(socket.gethostname())} this process sees no GPU"):
        call("cuda", 1, int)


def test_jobs_are_given_up_where_none_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad machine fails all that it is given, which says nothing of the others."""
    pytest.importorskip("parsl")
    from parsl.jobs.states import JobState, JobStatus

    failed = [JobStatus(JobState.FAILED) for _ in range(4)]
    for others, expected in (([], 1), ([JobState.COMPLETED], 1), ([JobState.RUNNING], 0)):
        executor = MagicMock()
        states = [*map(JobStatus, others), *failed]
        parsl_engine._give_up(4, executor, {str(number): state for number, state in enumerate(states)})
        assert executor.set_bad_state_and_fail_all.call_count == expected


class Client:
    """Parsl's way to the interchange."""

    def run(self, message: str, timeout_s: float | None = None) -> None:
        """Nobody answers."""


@pytest.mark.parametrize(
    ("bad", "ended", "raises", "cancelled"),
    [(False, None, False, 0), (False, None, True, 1), (True, None, False, 1), (False, 1, True, 1)],
)
def test_jobs_are_cancelled_once_where_parsl_does_not(
    bad: bool, ended: int | None, raises: bool, cancelled: int
) -> None:
    """Where it gave up, its interchange is gone, or it fails; whatever ended the work is not replaced by that."""
    executor, kernel = MagicMock(), MagicMock()
    executor.command_client, executor.bad_state_is_set, executor.job_ids_to_block = Client(), bad, {"7": "0"}
    executor.interchange_proc.poll.return_value = ended
    kernel.cleanup.side_effect = TimeoutError if raises else None
    parsl_engine._end(kernel, executor)
    assert kernel.cleanup.call_count == 1
    assert executor.provider.cancel.call_args_list == [call_of(["7"])] * cancelled


def test_what_the_scheduler_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job for each GPU and no whole nodes; Parsl picks no GPU, repeats nothing, and finds this interpreter."""
    pytest.importorskip("parsl")
    monkeypatch.setattr("parsl.executors.high_throughput.executor.get_all_addresses", set)  # which leaves sockets open
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path / "my data"))
    options = Cluster(
        "slurm", gpus_per_job=1, workers_per_gpu=3, jobs=2, setup="module load x", directives=("--mem=1G",)
    )
    config = ParslEngine(options, tmp_path, "cuda")._config()
    (executor,) = config.executors
    assert config.retries == 0
    assert (executor.available_accelerators, executor.workers_per_node) == ([], 3)
    provider = executor.provider
    assert (provider.init_blocks, provider.max_blocks, provider.exclusive) == (2, 2, False)
    assert "#SBATCH --mem=1G" in provider.scheduler_options
    assert "#SBATCH --gpus-per-node=1" in provider.scheduler_options
    setup = provider.worker_init.splitlines()
    assert setup[0].startswith(f"export PATH={Path(sys.executable).parent}:")
    assert f"export SHARPDIV_DATA='{tmp_path / 'my data'}'" in setup
    assert setup[-1] == "module load x"
