"""Adapters on two processes (DDP): the ascent is that of all samples, and so is the update."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts processes, each of which loads these libraries

LAUNCHERS = {"lightning": (), "transformers": ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")}


@pytest.mark.parametrize("library", LAUNCHERS)
def test_equals_the_plain_loop_over_the_samples_of_both(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"the extra {library} is not installed")
    command = [sys.executable, *LAUNCHERS[library], "-m", "tests.empirical.adapters.two_processes", library]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert found.returncode == 0, found.stderr
    differences = [float(line.split()[1]) for line in found.stdout.splitlines() if line.startswith("difference")]
    assert len(differences) >= 2, found.stdout
    assert max(differences) < 1e-6  # three steps in float32, whose sums are taken in another order
