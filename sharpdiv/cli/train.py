"""``sharpdiv train``: one ensemble, from options or a file of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import RUNS, Device, Flat
from sharpdiv.cli.progress import progress
from sharpdiv.cli.show import duration, table
from sharpdiv.empirical.engines.workers import choose_device, default_workers
from sharpdiv.empirical.runs.config import Precision, RunConfig, read_fields, write_config
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.gpu_time import CARDS, LAUNCH_SECONDS, SUSTAINED, Work, hours_of
from sharpdiv.empirical.runs.plan import PlannedRun, plan_runs
from sharpdiv.empirical.runs.stacked import stackable, train_stacked

__all__ = ["from_file", "print_plan", "train"]


def train(
    config: Annotated[RunConfig, Flat],
    *,
    runs: Path = RUNS,
    device: Device = "cpu",
    workers: int | None = None,
    stacked: bool = False,
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
        stacked: train members of SGD and SAM as one, in few operations: faster on a GPU if networks are small, other bits.
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
        if stacked:
            if not any(map(stackable, {config, config.start})):
                raise UsageError(
                    "--stacked is for SGD and SAM of whole batches in float32: leave it, or the other options, out"
                )
            train_stacked([config], runs, device=device, progress=report)
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
    """Runs, what is there, and the time the rest takes: here, and on GPUs if it is meant for one."""
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    headings = ("run", "trained", "passes left", "process time")
    rows = [(p.run_id, f"{p.trained} of {p.members}", str(p.passes), _time(p.seconds)) for p in plans]
    print(table(headings, rows, left={"run"}))
    place = choose_device(device)
    usual = default_workers(place)
    processes = workers or usual
    if place.type != "cpu":  # those who share a GPU share its time
        processes = min(processes, usual)
    timed = [plan.seconds for plan in plans if plan.seconds is not None]
    if len(timed) == len(plans):
        at_once = f"{processes} at once on {device}"
        print(f"Training: about {duration(sum(timed) / processes)} with {at_once}, measuring not counted.")
    if len(timed) < len(plans) or place.type == "cuda":
        _print_gpu_hours([plan.work for plan in plans])


def _time(seconds: float | None) -> str:
    return "for a GPU" if seconds is None else duration(seconds)


def _print_gpu_hours(works: Sequence[Work]) -> None:
    """What they take one card of some kinds, by precision."""
    flops, launches = sum(work.flops for work in works), sum(work.launches for work in works)
    print(
        f"\nGPU hours of training, computed and not measured: the larger of {flops / 1e15:,.1f} PFLOP at {SUSTAINED:.0%} of the "
        f"published peak\nand {launches / 1e6:,.1f} million operations at {LAUNCH_SECONDS * 1e6:g} microseconds each, run by run. "
        "Measuring is not counted. Processes that\nshare a GPU share its hours, but launch their operations at once."
    )
    headings = ("one card", *get_args(Precision), "operations alone")
    rows = [
        (
            card.name,
            *(f"{hours_of(works, card, precision):.1f}" for precision in get_args(Precision)),
            f"{launches * LAUNCH_SECONDS / 3600:.1f}",
        )
        for card in CARDS
    ]
    print(table(headings, rows, left={"one card"}))
