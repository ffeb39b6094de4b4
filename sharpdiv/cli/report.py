"""``sharpdiv figures``, ``sharpdiv report`` and ``sharpdiv reproduce``."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.ensembles.verdicts import Beside, beside
from sharpdiv.checks.registry import all_claims
from sharpdiv.checks.report.html import figures_shown
from sharpdiv.checks.results import load_evidence
from sharpdiv.cli.check import status
from sharpdiv.cli.clock import elapsed
from sharpdiv.cli.errors import UsageError, nearest
from sharpdiv.cli.evidence import evidence
from sharpdiv.cli.options import RUNS, Device
from sharpdiv.cli.progress import progress
from sharpdiv.cli.train import print_plan
from sharpdiv.empirical.engines.cluster import read_cluster
from sharpdiv.empirical.engines.workers import default_workers
from sharpdiv.figures.registry import FIGURES, drawable, render
from sharpdiv.paths import RESULTS
from sharpdiv.reproduce import Profile, write_html
from sharpdiv.reproduce import reproduce as do_main_job

__all__ = ["figures", "report", "reproduce"]

TIME_UP = 3
"""Exit status of a main job that --minutes stopped: the same command goes on."""
_NO_TIME = 1e-6
"""Minutes that are left where the start of the command took all of them."""


def figures(*, only: tuple[str, ...] = (), out: Path = RUNS / "figures", results: Path | None = None) -> int:
    """Render the figures from results, as PNG, SVG and PDF.

    Args:
        only: names of figures; default all that the results allow.
        out: folder to write to.
        results: file or folder of measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
    """
    for name in only:
        if name not in FIGURES:
            raise UsageError(f"unknown figure {name!r}{nearest(name, FIGURES)}; known: {', '.join(FIGURES)}")
    found = evidence(results)
    for path in render(only or drawable(found), found, out):
        print(path)
    return 0


def report(*, results: Path | None = None, out: Path = RUNS / "report.html") -> int:
    """Check every claim and write one HTML file with verdicts, plots, figures and numbers, which opens without a network.

    Args:
        results: file or folder of measured ensembles, as sharpdiv reproduce writes them, shown beside the committed ones;
            those alone unless given.
        out: file to write.
    """
    found, at_once = evidence(results), default_workers(torch.device("cpu"))
    findings = check_claims(all_claims(), found, workers=at_once)
    mine = results is not None and results.resolve() != RESULTS.resolve()
    rows = beside(findings, found, load_evidence(RESULTS)) if mine else []
    there = set(drawable(found))
    with TemporaryDirectory() as folder:
        names = [name for name in figures_shown(findings) if name in there]
        write_html(out, findings, found, render(names, found, Path(folder), workers=at_once), rows)
    print(out)
    return status(findings)


def reproduce(
    *,
    profile: Profile = "quick",
    data: tuple[str, ...] = (),
    runs: Path = RUNS,
    have: Path | None = None,
    device: Device = "cpu",
    workers: int | None = None,
    minutes: float | None = None,
    on: Path | None = None,
    stacked: bool = False,
    dry_run: bool = False,
) -> int:
    """The main job: train and measure ensembles, run the lazy-to-rich dial, check every claim, draw figures, write the report.

    Everything is written below the folder of runs; nothing that is committed changes. Interrupted, it goes on where it was.
    Seeds are trained in blocks of three, and a block's results are there when it ends.

    Args:
        profile: quick is nine seeds on the digits and a small dial, minutes on two cores; cpu has the protocol's seeds on
            digits, fashion-mnist and cifar10-jpeg and the whole dial, many hours on two cores; gpu is nine seeds on all images of
            cifar10-jpeg, for one GPU; paper is ResNet-18 on CIFAR-10, CIFAR-100 and Tiny-ImageNet as in the paper, for GPUs.
        data: only what the profile has on these data sets; the dial is on digits. All unless given.
        runs: folder of all runs; finished work in it is skipped.
        have: folder of results that need not be made again, such as results/ of the checkout.
        device: where to train and measure.
        workers: members trained at once; default one per CPU core or GPU.
        minutes: stop within this time, whole blocks of seeds first, and say what is left, with exit status 3; the same command
            goes on.
        on: do the work on several GPUs or machines, as a file such as cluster.toml says; docs/cluster.md has examples.
        stacked: with gpu, train members of SGD and SAM of a block as one: in few operations, with other bits.
        dry_run: print what would be trained and how long it would take, and stop.
    """
    options: dict[str, Any] = {"data": data, "runs": runs, "have": have, "device": device}
    options["say"] = partial(print, flush=True)  # hours may pass until the next line
    if dry_run or (profile != "quick" and on is None):
        plan = do_main_job(profile, dry_run=True, workers=workers, on=on, **options).plan
        print_plan(plan, *((device, workers) if on is None else ("cpu", read_cluster(on).workers)))
    if dry_run:
        print("Nothing was trained.")
        return 0
    with progress("reproduce") as report:
        left = minutes and max(minutes - elapsed() / 60, min(minutes, _NO_TIME))  # the plan took some
        made = do_main_job(profile, workers=workers, minutes=left, on=on, stacked=stacked, progress=report, **options)
    if made.left:
        return TIME_UP
    drawn = ", ".join(str(path) for path in made.figures if path.suffix == ".pdf")
    print(f"Report: {made.html}\nIn two pages: {made.report}\nFigures: {drawn}")
    _print_beside(made.beside)
    return status(made.findings)


def _print_beside(rows: Sequence[Beside]) -> None:
    """The table of the verdicts here and of the committed ones, and why those that differ may."""
    if not rows:
        return
    print("\nYour verdicts beside the committed ones")
    for row in rows:
        print(f"{row.claim:<34} {row.yours:<14} {row.committed:<14} {row.why}".rstrip())
    print(f"{sum(row.yours == row.committed for row in rows)} of {len(rows)} are the same.")
