"""A real SLURM of two nodes on this machine, for tests: no systemd, nothing in /etc, the loopback address only."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
NODES = ("n1", "n2")

_CONF = """\
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd%n.log
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=0
KillWait=5
SlurmdTimeout=30
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
_GRES = """\
NodeName=n1 Name=gpu File={folder}/gpu[0-1]
NodeName=n2 Name=gpu File={folder}/gpu[2-3]
"""


def lacking() -> str | None:
    """Why there can be no such cluster here."""
    for program in NEEDED:
        if not shutil.which(program):
            return f"there is no {program}: apt-get install --no-install-recommends slurm-wlm munge"
    return "SLURM's daemons need root" if os.geteuid() else None


@contextmanager
def two_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """Daemons of a cluster while the block runs; gives the environment in which its commands work."""
    for name in ("state", "spooln1", "spooln2", "log", "run"):
        (folder / name).mkdir(parents=True)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    for number in range(4):  # null devices, which SLURM takes for GPUs
        os.mknod(folder / f"gpu{number}", 0o600 | 0o020000, os.makedev(1, 3))
    (folder / "slurm.conf").write_text(_CONF.format(folder=folder, host=socket.gethostname(), ports=_free_ports(3)))
    (folder / "gres.conf").write_text(_GRES.format(folder=folder))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    run, conf = folder / "run", str(folder / "slurm.conf")
    munge = {"key-file": "munge.key", "socket": "run/munge.sock", "pid-file": "run/munged.pid"}
    munge |= {"log-file": "log/munged.log", "seed-file": "run/munge.seed"}
    try:
        call(["munged", "--force", *(f"--{name}={folder / value}" for name, value in munge.items())], environment)
        call(["slurmctld", "-f", conf, "-c"], environment)
        for node in NODES:
            call(["slurmd", "-f", conf, "-N", node], environment)
        _wait_for_nodes(environment)
        yield environment
    finally:
        with suppress(subprocess.SubprocessError, OSError):
            call(["scancel", "--full", "-u", "root"], environment)
            time.sleep(1)
        for name in ("slurmdn1", "slurmdn2", "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((run / f"{name}.pid").read_text()), signal.SIGTERM)


def _wait_for_nodes(environment: dict[str, str]) -> None:
    for _ in range(60):
        found = call(["sinfo", "--noheader", "-N", "-o", "%t"], environment)
        if found.split() == ["idle", "idle"]:
            return
        time.sleep(0.5)
    raise RuntimeError(f"the two nodes are not there: {found}")


def call(command: list[str], environment: dict[str, str]) -> str:
    """What a command of the cluster prints."""
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
