"""The engine for several GPUs or machines: Parsl starts jobs, here or by SLURM, whose workers do the pieces of work.

Parsl has one task for each piece, which is handed over when all that it needs is there; it knows nothing of the graph.
"""

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from sharpdiv.empirical.data.folders import data_folder
from sharpdiv.empirical.engines import parsl_job
from sharpdiv.empirical.engines.cluster import Cluster
from sharpdiv.empirical.engines.workers import do_apart, ended_by_sigterm, follow_parent, prepare_process
from sharpdiv.empirical.engines.working import Submit
from sharpdiv.empirical.errors import InputError, WorkerError

__all__ = ["ParslEngine", "call"]

_HEARTBEAT, _SILENCE = 5, 30
"""Seconds between two signs of life of a job, and without any after which it is given up; so do jobs if this process is gone."""
_GOODBYE = 5
"""Seconds that Parsl's interchange has for an answer at the end: whoever ends this process may give it no more than 30."""

_FOLLOW = (
    "import ctypes, os, sys; os.setsid(); prctl = getattr(ctypes.CDLL(None), 'prctl', None); "
    f"prctl and prctl(1, {int(signal.SIGTERM)}); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Starts a program that Ctrl-C at the terminal leaves alone, as it is needed to end the jobs, and that the system ends with its
parent, on Linux."""


class ParslEngine:
    """Jobs as a file of options says.

    Args:
        cluster: the options.
        folder: folder for Parsl's files and the jobs' output, which every machine sees.
        device: name of the device that the pieces use.

    Raises:
        InputError: if Parsl is not installed.

    Example: see ``docs/cluster.md``; jobs are started.
    """

    def __init__(self, cluster: Cluster, folder: Path, device: str) -> None:
        try:
            from parsl.errors import ParslError
            from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost
        except ModuleNotFoundError as error:
            raise InputError(
                "work on a cluster needs Parsl: pip install '.[cluster]' in the folder of sharpdiv"
            ) from error
        self.cluster, self.folder, self.device = cluster, folder.resolve(), device
        self.slots, self.attempts = cluster.workers, cluster.retries + 1
        self.lost: tuple[type[BaseException], ...] = (ManagerLost, WorkerLost, ParslError)
        self.advice = (
            f"its process was lost {self.attempts} times (a wrong setup, out of memory, longer than so many jobs?); what "
            f"jobs say is in {self.folder}; run again to continue"
        )

    @contextmanager
    def lanes(self) -> Iterator[Submit]:
        """Have jobs started.

        Yields:
            What has a function called in one of them.

        Raises:
            WorkerError: if Parsl cannot be started.
        """
        from parsl import DataFlowKernel, python_app

        with ended_by_sigterm(), _found_programs():
            config = self._config()
            try:
                kernel = DataFlowKernel(config)
            except Exception as error:  # Parsl has none of its own for this
                raise WorkerError(f"Parsl could not be started ({error}); run again to continue") from error
            app: Callable[..., Future[object]] = python_app(call, data_flow_kernel=kernel)
            try:
                with _watched(config.executors[0]):
                    yield partial(app, self.device, self.cluster.gpus_per_job)
            finally:
                _end(kernel, config.executors[0])

    def _config(self) -> Any:
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

        python = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")  # Parsl fills in what is in braces
        executor = HighThroughputExecutor(
            label="pieces",
            provider=self._provider(),
            address="127.0.0.1" if self.cluster.kind == "local" else None,
            max_workers_per_node=self.cluster.workers_per_job,
            cores_per_worker=1e-3,  # how many there are is said above, however many cores a job sees
            heartbeat_period=_HEARTBEAT,
            heartbeat_threshold=_SILENCE,
            launch_cmd=f"{python} -m {parsl_job.__name__} {{addresses}} {{worker_port}} {DEFAULT_LAUNCH_CMD}",
            interchange_launch_cmd=(sys.executable, "-c", _FOLLOW, "interchange.py"),
            block_error_handler=partial(_give_up, self.cluster.jobs + 2),
        )
        # Parsl repeats nothing: what diverged would diverge again, and what was lost is for ``work`` to count.
        return Config([executor], retries=0, run_dir=str(self.folder), initialize_logging=False, strategy_period=1)

    def _provider(self) -> Any:
        from parsl.providers import LocalProvider, SlurmProvider

        jobs = {"init_blocks": self.cluster.jobs, "min_blocks": 0, "max_blocks": self.cluster.jobs}
        if self.cluster.kind == "local":
            return LocalProvider(worker_init=self._setup(), **jobs)
        return SlurmProvider(
            partition=self.cluster.partition,
            walltime=self.cluster.walltime,
            gpus_per_node=self.cluster.gpus_per_job or None,
            cores_per_node=self.cluster.workers_per_job,
            scheduler_options="\n".join(f"#SBATCH {line}" for line in self.cluster.directives),
            worker_init=self._setup(),
            exclusive=False,  # a whole node for one job would be paid for
            **jobs,
        )

    def _setup(self) -> str:
        """What a job's shell does first: this interpreter, one thread, and the data sets are where they are here."""
        return "\n".join(
            [
                f"export PATH={shlex.quote(_programs())}:$PATH",
                "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1",
                f"export SHARPDIV_DATA={shlex.quote(str(data_folder().resolve()))}",
                self.cluster.setup,
            ]
        )


def _give_up(most: int, executor: Any, status: dict[str, Any]) -> None:
    """Lost jobs are replaced. So many that fail one after the other have a wrong setup, unless others run: then a machine has."""
    from parsl.jobs.error_handlers import windowed_error_handler
    from parsl.jobs.states import JobState

    if all(job.state != JobState.RUNNING for job in status.values()):
        windowed_error_handler(executor, status, threshold=most)


def _end(kernel: Any, executor: Any) -> None:
    """End the jobs, whatever they are doing; by ourselves where Parsl leaves them alone or nobody answers it any more."""
    client = executor.command_client
    client.run = partial(type(client).run, client, timeout_s=_GOODBYE)
    if lost := executor.bad_state_is_set or executor.interchange_proc.poll() is not None:
        executor.provider.cancel(list(executor.job_ids_to_block))
    try:
        kernel.cleanup()
    except Exception:  # of a kind of Parsl's, in place of the one that may be on its way
        if not lost:
            executor.provider.cancel(list(executor.job_ids_to_block))


@contextmanager
def _watched(executor: Any) -> Iterator[None]:
    """Have all pieces fail if Parsl's interchange, between this process and the jobs, is gone: Parsl itself would wait forever."""
    from parsl.errors import ParslError

    interchange, client, ended = executor.interchange_proc, executor.command_client, threading.Event()
    client.run = partial(client.run, timeout_s=_SILENCE)

    def watch() -> None:
        while not ended.wait(1.0):
            if interchange.poll() is not None:
                client.ok = False  # nobody answers
                executor.set_bad_state_and_fail_all(ParslError("Parsl's interchange was killed"))
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _programs() -> str:
    """The interpreter's folder, where Parsl's programs are."""
    return str(Path(sys.executable).parent)


@contextmanager
def _found_programs() -> Iterator[None]:
    """Parsl looks for its programs where the shell does, which an environment that is not activated keeps to itself."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([_programs(), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def call(device: str, gpus: int, do: Callable[[], object]) -> None:
    """Do a piece of work in a worker of a job.

    Args:
        device: name of the device that it uses.
        gpus: number of GPUs of the job.
        do: the piece.

    Raises:
        WorkerError: if there is no such device; the message names the machine, where every piece would fail.
    """
    try:
        _prepared(device, gpus)
    except InputError as error:
        raise WorkerError(f"on {socket.gethostname()} {error}") from None
    with parsl_job.busy():
        do_apart(do)


@cache
def _prepared(device: str, gpus: int) -> None:
    """Once in a process: its GPU is among those that the job was given, by its number there. It ends with the job's manager."""
    prepare_process(torch.device(device), int(os.environ.get("PARSL_WORKER_RANK", "0")) % max(gpus, 1))
    follow_parent()
