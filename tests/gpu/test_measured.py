"""What is written of a GPU, here of the CPU: the same code."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sharpdiv.empirical.store import load_json
from tests.gpu import __main__ as command
from tests.gpu.measured import RESNET18, times_of_stacks, times_of_steps, write_results

CPU = torch.device("cpu")
TINY = replace(RESNET18, data="digits", train_samples=20, width=2, blocks=(1,), batch_size=8)


def test_times_are_of_every_method_and_precision(tmp_path: Path) -> None:
    steps, stacks = times_of_steps(CPU, TINY, steps=1), times_of_stacks(CPU, TINY, members=(1, 2), steps=1)
    assert list(steps) == ["sgd", "sam", "sharpbalance"]
    assert all(set(times) == {"float32", "tf32", "bfloat16"} for times in steps.values())
    assert set(stacks) == {"1", "2"}
    assert min(*stacks.values(), *(time for times in steps.values() for time in times.values())) > 0
    path = write_results(tmp_path, CPU, {"a test": "passed"}, {"steps": steps, "stacks": stacks})
    assert path.suffix == ".json"
    assert not set(path.stem) & set(" /()")
    found = load_json(path)
    assert found["tests"] == {"a test": "passed"}
    assert found["milliseconds"]["steps"] == steps
    assert found["about"]["torch"] == torch.__version__


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here, which this is not about")
def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(tmp_path) == 0
    assert "not run" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_outcomes_are_those_of_the_tests(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    outcomes = command.Outcomes()
    for when, outcome in (("setup", "passed"), ("call", "failed"), ("teardown", "passed")):
        report = pytest.TestReport("one", ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]
        outcomes.pytest_runtest_logreport(report)
    outcomes.pytest_runtest_logreport(pytest.TestReport("two", ("", 0, ""), {}, "skipped", None, "setup"))
    assert outcomes.found == {"one": "failed", "two": "skipped"}
