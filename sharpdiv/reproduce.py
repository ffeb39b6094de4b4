"""The main job: train and measure ensembles, run the lazy-to-rich dial, check every claim, draw figures, write the report.

    made = reproduce("quick", runs=Path("runs"))

Members are trained in processes of their own: a script that calls this needs ``if __name__ == "__main__"``.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from sharpdiv.checks.ascents.networks import SWEEPS, Sweep
from sharpdiv.checks.ascents.sweep import plan_sweep
from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.claim import Claim, Finding
from sharpdiv.checks.ensembles.described import described
from sharpdiv.checks.ensembles.verdicts import Beside, beside
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_sweep import plan_dial
from sharpdiv.checks.kernels.dials import DIALS, Dial
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.report.html import Picture, Report, html
from sharpdiv.checks.report.pages import FOLDER, write_pages
from sharpdiv.checks.report.summary import summary
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig
from sharpdiv.empirical.engines.cluster import Cluster, read_cluster
from sharpdiv.empirical.engines.graph import Graph
from sharpdiv.empirical.engines.parsl_engine import ParslEngine
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device, default_workers
from sharpdiv.empirical.engines.working import Engine, work
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs.ensembles import Progress, load_run_data
from sharpdiv.empirical.runs.plan import PlannedRun, plan_runs
from sharpdiv.empirical.runs.profiles import DESIGNS, PROFILES, Design
from sharpdiv.empirical.runs.weight_norms import take_weight_norms
from sharpdiv.empirical.store import write_atomically
from sharpdiv.figures.registry import FIGURES, drawable
from sharpdiv.figures.registry import render as render_figures
from sharpdiv.job import Job, Say, is_there, record_of
from sharpdiv.paths import RESULTS

__all__ = ["Profile", "Reproduction", "reproduce", "write_html"]

Profile = Literal["quick", "cpu", "gpu", "paper"]

_TO_STOP = 10.0
"""Seconds that ending what is going on may take, at most a sixth of the time given."""
_TO_REPORT, _AT_LEAST = 360.0, 60.0
"""Seconds of a core that checking every claim and drawing every figure may take, and seconds however many cores there are."""


@dataclass(frozen=True)
class Reproduction:
    """What the main job made."""

    plan: tuple[PlannedRun, ...] = ()
    """what is to be trained, if only that was asked for; then the rest is empty"""
    findings: tuple[tuple[Claim, Finding], ...] = ()
    """every claim and what its check found"""
    report: Path | None = None
    """paper_checks.md of these results, beside the folder of its pages"""
    html: Path | None = None
    """report.html of these results, one file that opens without a network"""
    figures: tuple[Path, ...] = ()
    """each as PNG, SVG and PDF"""
    beside: tuple[Beside, ...] = ()
    """verdicts on trained ensembles beside the committed ones"""
    left: tuple[str, ...] = ()
    """names of the pieces of work that are left, if the time was up; then all the rest is empty"""


def reproduce(
    profile: Profile = "quick",
    *,
    data: Sequence[str] = (),
    runs: Path = Path("runs"),
    have: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    minutes: float | None = None,
    on: Path | None = None,
    stacked: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda *_: None,
    say: Say = print,
) -> Reproduction:
    """Do the main job, or what is left of it.

    Everything is written below the folder of runs; nothing that is committed changes. Interrupted, it goes on where it was.

    Args:
        profile: a key of ``PROFILES``.
        data: only what the profile has on these data sets; the dial is on digits. All unless given.
        runs: folder of all runs; finished work in it is skipped.
        have: folder of results that need not be made again, such as ``RESULTS``.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: members trained at once; default one per CPU core or GPU.
        minutes: stop by itself within this time, whole blocks of seeds first; called again, it goes on to the same bits.
        on: file of options such as ``cluster.toml``, for several GPUs or machines: see ``Cluster``.
        stacked: train members of SGD and SAM of a block as one: other bits, few operations; for the profile ``gpu``.
        dry_run: plan what would be trained, and stop.
        progress: told after every finished piece.
        say: told what is going on.

    Returns:
        What was made, or the plan, or what is left.

    Raises:
        InputError: if the profile has nothing on the data sets, there is no such folder to take results from, or no time, the
            options of the cluster cannot be used, or networks that have to be trained alone are to be stacked.
        StoreError: if another process does the main job in this folder.
    """
    deadline = _deadline(minutes)
    runs = runs if on is None else runs.resolve()  # jobs have working folders of their own
    target = runs / "reproduce"
    designs, dial, sweep = _chosen(profile, data)
    cluster = None if on is None else _cluster(on, device, workers)
    _check_stacked(profile, stacked=stacked)
    if have is not None and not have.is_dir():
        raise InputError(f"--have takes a folder of results, got {have}")
    folders = [target] if have is None else [target, have]
    designs = [_as_measured(design, folders) if design.name in DESIGNS else design for design in designs]
    missing = [
        run
        for design in designs
        for block in design.blocks
        for name, run in design.runs_of_blocks[block].items()
        if not any(is_there(folder, design, name, run) for folder in folders)
    ]
    if dry_run:
        here = device if cluster is None else "cpu"  # a cluster's device need not be here to be timed
        say(f"Planning: a step of each small network is timed here, on {here}")
        return Reproduction((*plan_runs(missing, runs, here), *_plan_small(dial, sweep, runs, here)))
    if cluster is None:
        engine: Engine = Pool(choose_device(device), workers, apart=minutes is not None)
    else:
        engine = ParslEngine(cluster, runs / "cluster", device)
    with Job(runs, target, device, say, stacked=stacked) as job:
        if have is not None:
            _take(have, target, designs)
        for config in {config.data: config for config in missing}.values():
            load_run_data(config)  # what is missing is said now, not after hours
        members = sum(len(config.seeds) for config in missing)
        say(f"Training and measuring {len(missing)} ensembles, {members} networks, in {runs}")
        job.add_small(dial, sweep)
        for design in designs:
            look = design.name == "digits" and profile != "quick"  # a picture that takes minutes
            job.add(design, planes=PlaneConfig() if look else None)
        at_once = workers or default_workers(torch.device("cpu"))
        left = _work(job, engine, progress, deadline, max(_TO_REPORT / at_once, _AT_LEAST))
        _describe(designs if profile == "gpu" else [], target, say)
        return Reproduction(left=left) if left else _report(target, at_once, say)


def _cluster(on: Path, device: str, workers: int | None) -> Cluster:
    """Where the pieces of work are done, if it goes with what is asked for."""
    cluster = read_cluster(on)
    if workers is not None:
        raise InputError(f"workers are those of {on}; leave them out beside it")
    if cluster.gpus_per_job and device != "cuda":
        raise InputError(
            f"{on} reserves GPUs, which device {device!r} leaves unused: give --device cuda, or leave gpus_per_job out"
        )
    if device == "cuda" and not cluster.gpus_per_job:
        raise InputError(f"device 'cuda' needs GPUs, and {on} reserves none: give gpus_per_job")
    return cluster


def _deadline(minutes: float | None) -> float | None:
    """When to begin to stop."""
    if minutes is None:
        return None
    if not 0 < minutes < float("inf"):
        raise InputError(f"minutes must be finite and positive, got {minutes}")
    return time.monotonic() + 60 * minutes - min(_TO_STOP, 10 * minutes)


def _work(job: Job, engine: Engine, progress: Progress, deadline: float | None, to_report: float) -> tuple[str, ...]:
    """Do the job; says what is left if the time was up, or will be in so many seconds, and gives its names."""
    left = work(Graph(job.pieces), engine, partial(progress, "training and measuring"), deadline)
    if not left and deadline is not None and time.monotonic() + to_report > deadline:
        left = ("report",)
        job.say(
            f"All is measured; the same command checks the claims and reports, if it has {to_report / 60:.0f} minutes for it"
        )
    elif left:
        done = f"{len(job.pieces) - len(left)} of {len(job.pieces)} pieces of work"
        job.say(f"The time is up: {done} are done, {job.measured} of {job.blocks} blocks measured")
        shown = f"; sharpdiv report --results {job.target} shows what is measured so far" if job.target.exists() else ""
        job.say(f"The same command goes on from here, to the same bits{shown}")
    return left


def _chosen(profile: Profile, data: Sequence[str]) -> tuple[list[Design], Dial | None, Sweep | None]:
    """Designs, and of those on digits dial and sweep over ascents, of a profile on some data sets."""
    designs = [design for design in PROFILES[profile] if not data or design.data in data]
    on_digits = not data or "digits" in data
    dial = DIALS.get(profile) if on_digits else None
    sweep = SWEEPS.get(profile) if on_digits else None
    if not (designs or dial or sweep):
        raise InputError(f"profile {profile} has nothing on {' or '.join(data)}")
    return designs, dial, sweep


def _check_stacked(profile: Profile, *, stacked: bool) -> None:
    """Refuse other bits where claims are decided by them."""
    if stacked and profile != "gpu":
        raise InputError(
            f"stacked members have other bits, and networks of profile {profile} are compared: leave it out"
        )


def _plan_small(dial: Dial | None, sweep: Sweep | None, runs: Path, device: str) -> list[PlannedRun]:
    """What the small networks of dial and sweep take."""
    return [*(plan_dial(dial, runs, device) if dial else ()), *(plan_sweep(sweep, runs, device) if sweep else ())]


def _as_measured(design: Design, folders: Sequence[Path]) -> Design:
    """The design, or with the measurement of the whole one of its name if all its runs are there measured like that.

    One measurement for all of a design: means over test points need the same points in every block.

    Returns:
        A design of the same runs.
    """
    whole = replace(design, how=DESIGNS[design.name].how, how_others=DESIGNS[design.name].how_others)
    runs = [(name, run) for of in design.runs_of_blocks.values() for name, run in of.items()]
    there = all(any(is_there(folder, whole, name, run) for folder in folders) for name, run in runs)
    return whole if there else design


def _take(have: Path, target: Path, designs: Iterable[Design]) -> None:
    """Copy from one folder of results to another what it lacks: the records of some designs, and what is made of their runs."""
    for file in have.glob("comparison-*.json"):
        if file.stem.removeprefix("comparison-") in {design.name for design in designs}:
            _copy_missing(file, target)
    take_weight_norms(target / "weight-norms.json", have / "weight-norms.json")
    if "digits" in {design.name for design in designs} and (have / "planes.json").exists():
        _copy_missing(have / "planes.json", target)
    for design in designs:
        for name, run in (item for runs in design.runs_of_blocks.values() for item in runs.items()):
            if not is_there(target, design, name, run) and is_there(have, design, name, run):
                write_atomically(record_of(target, design, run), record_of(have, design, run).read_bytes())


def _copy_missing(file: Path, folder: Path) -> None:
    if not (folder / file.name).exists():
        write_atomically(folder / file.name, file.read_bytes())


def _describe(designs: Sequence[Design], target: Path, say: Say) -> None:
    """Say what was measured of designs that no claim is about."""
    for design in designs:
        for line in described(design, load_evidence(target)):
            say(line)


def _report(target: Path, workers: int, say: Say) -> Reproduction:
    """Verdicts, report and figures of the results in a folder, and which verdicts survive on these networks."""
    say(f"Checking {len(CLAIMS)} claims")
    evidence = load_evidence(target)
    findings = check_claims(CLAIMS, evidence, workers=workers, say=say)
    report = target / "paper_checks.md"
    write_atomically(report, summary(findings).encode())
    write_pages(target / FOLDER, findings)
    figures = tuple(render_figures(drawable(evidence), evidence, target / "figures", workers=workers))
    rows = tuple(beside(findings, evidence, load_evidence(RESULTS)))
    page = target / "report.html"
    write_html(page, findings, evidence, figures, rows)
    return Reproduction(findings=findings, report=report, html=page, figures=figures, beside=rows)


def write_html(
    path: Path,
    findings: Sequence[tuple[Claim, Finding]],
    evidence: Evidence,
    figures: Iterable[Path],
    rows: Sequence[Beside] = (),
) -> None:
    """Write report.html, one file that opens without a network.

    Args:
        path: of the file.
        findings: claims with what their checks found.
        evidence: what they were checked on.
        figures: files that ``render`` wrote.
        rows: verdicts beside the committed ones.
    """
    drawn = {file.stem: file for file in figures if file.suffix == ".png"}
    pictures = {
        name: Picture(file, **vars(FIGURES[name].words(evidence)), dark=drawn.get(f"{name}-dark"))
        for name, file in drawn.items()
        if name in FIGURES
    }
    write_atomically(path, html(Report(findings, evidence, pictures, rows)).encode())
