"""``sharpdiv train``: one ensemble, from options or a file of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import RUNS, Device, Flat
from sharpdiv.cli.progress import progress
from sharpdiv.cli.show import duration, table
from sharpdiv.empirical.runs.config import RunConfig, read_fields, write_config
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.plan import PlannedRun, plan_runs
from sharpdiv.empirical.workers import choose_device, default_workers

__all__ = ["from_file", "print_plan", "train"]


def train(
    config: Annotated[RunConfig, Flat],
    *,
    runs: Path = RUNS,
    device: Device = "cpu",
    workers: int | None = None,
    save_config: Path | None = None,
    dry_run: bool = False,
) -> int:
    """Train one ensemble; what is trained already is skipped, what was interrupted resumes.

    --config FILE takes the options from a .toml or .json file, such as a run's own config.json; options beside it count.

    Args:
        config: the ensemble.
        runs: folder of all runs.
        device: where to train.
        workers: members trained at once; default one per CPU core or GPU.
        save_config: write the ensemble's options to this .toml or .json file.
        dry_run: print what would be trained and how long it would take, and stop.
    """
    if save_config:
        write_config(save_config, config)
    if dry_run:
        print_plan(plan_runs([config], runs, device), device, workers)
        print("Nothing was trained.")
        return 0
    with progress("training") as report:
        train_runs([config], runs, device=device, workers=workers, progress=report)
    print(runs / config.run_id)
    return 0


def from_file(arguments: list[str]) -> list[str]:
    """Arguments with ``--config FILE`` replaced by the options in the file; those given beside it come after, and win."""
    arguments = [word for argument in arguments for word in _apart(argument)]
    if "--config" not in arguments:
        return arguments
    at = arguments.index("--config")
    if at + 1 == len(arguments):
        raise UsageError("--config needs a file")
    options: list[str] = []
    for name, value in read_fields(Path(arguments[at + 1])).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    return [*options, *arguments[:at], *arguments[at + 2 :]]


def _apart(argument: str) -> list[str]:
    """``--config=FILE`` as two words."""
    return argument.split("=", 1) if argument.startswith("--config=") else [argument]


def print_plan(plans: Sequence[PlannedRun], device: str, workers: int | None) -> None:
    """Runs, what is there, and the time the rest takes here."""
    workers = workers or default_workers(choose_device(device))
    headings = ("run", "trained", "passes left", "process time")
    rows = [(p.run_id, f"{p.trained} of {p.members}", str(p.passes), duration(p.seconds)) for p in plans]
    print(table(headings, rows, left={"run"}))
    total = duration(sum(plan.seconds for plan in plans) / workers)
    print(f"Training: about {total} with {workers} at once on {device}, measuring not counted.")
