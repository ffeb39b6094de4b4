"""``make test-gpu``: tests on a GPU, and times of some steps, in runs/gpu/ under the device's name; says so where there is none."""

import sys
from pathlib import Path

import pytest
import torch

from tests.gpu.measured import times_of_stacks, times_of_steps, write_results


class Outcomes:
    """Remembers what came out of every test."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for every part of a test.

        Args:
            report: of the part.
        """
        if report.when == "call" or report.outcome != "passed":
            self.found[report.nodeid] = report.outcome


def main(folder: Path) -> int:
    """Run the tests and write what came out.

    Args:
        folder: where results are written.

    Returns:
        The exit status: 0 where there is no GPU, for nothing of ours failed.
    """
    if not torch.cuda.is_available():
        print("test-gpu: not run, PyTorch finds no CUDA device here")
        return 0
    outcomes, device = Outcomes(), torch.device("cuda", 0)
    status = int(pytest.main(["-m", "cuda", "-n", "0", "tests/gpu"], plugins=[outcomes]))
    times = {"steps of ResNet-18, 128 images": times_of_steps(device), "steps of SAM, stacked": times_of_stacks(device)}
    print(write_results(folder, device, outcomes.found, times))
    return status


if __name__ == "__main__":
    sys.exit(main(Path("runs") / "gpu"))
