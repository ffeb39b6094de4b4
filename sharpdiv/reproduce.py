"""The main job: train and measure ensembles, run the lazy-to-rich dial, check every claim, draw figures, write the report.

    made = reproduce("quick", runs=Path("runs"))

Members are trained in processes of their own: a script that calls this needs ``if __name__ == "__main__"``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from sharpdiv.checks.ascents.networks import SWEEPS, Sweep
from sharpdiv.checks.ascents.sweep import plan_sweep, run_sweep
from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.claim import Claim, Finding
from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.ensembles.described import described
from sharpdiv.checks.ensembles.verdicts import Beside, beside
from sharpdiv.checks.kernels.alpha_sweep import plan_dial, run_dial
from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.dials import DIALS, Dial
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.report.html import Picture, Report, html
from sharpdiv.checks.report.pages import FOLDER, write_pages
from sharpdiv.checks.report.summary import summary
from sharpdiv.checks.results import Evidence, load_evidence
from sharpdiv.empirical.connectivity.run_planes import plane_runs, save_planes
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, load_run_data, train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measuring import measure_runs
from sharpdiv.empirical.runs.plan import PlannedRun, plan_runs
from sharpdiv.empirical.runs.profiles import DESIGNS, PROFILES, Design
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.runs.stacked import train_stacked
from sharpdiv.empirical.runs.weight_norms import add_weight_norms
from sharpdiv.empirical.store import save_json, write_atomically
from sharpdiv.empirical.workers import default_workers
from sharpdiv.figures.registry import FIGURES, drawable
from sharpdiv.figures.registry import render as render_figures
from sharpdiv.paths import RESULTS

__all__ = ["Profile", "Reproduction", "measure_block", "reproduce", "write_html"]

Profile = Literal["quick", "cpu", "gpu", "paper"]
Say = Callable[[str], object]
"""Told a line about every step, for people."""

_COMPARED = frozenset({"fashion-mnist", "cifar10-jpeg"})
"""Designs put beside their lazy limit: the dial is about the digits', and a GPU's are too large for it."""

_ON_PLANES = ("sgd", "sam-mid", "sharpbalance-mid")
"""Conditions of the digits of whose first block a picture is made, side by side."""


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


def reproduce(
    profile: Profile = "quick",
    *,
    data: Sequence[str] = (),
    runs: Path = Path("runs"),
    have: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
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
        stacked: train members of SGD and SAM of a block as one: other bits, few operations; for the profile ``gpu``.
        dry_run: plan what would be trained, and stop.
        progress: told after every finished piece.
        say: told what is going on.

    Returns:
        What was made, or the plan.

    Raises:
        InputError: if the profile has nothing on the data sets, there is no such folder to take results from, or networks that
            have to be trained alone are to be stacked.
    """
    target = runs / "reproduce"
    designs, dial, sweep = _chosen(profile, data)
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
        if not any(_is_there(folder, design, name, run) for folder in folders)
    ]
    if dry_run:
        say("Timing a step of each network")
        return Reproduction((*plan_runs(missing, runs, device), *_plan_small(dial, sweep, runs, device)))
    if have is not None:
        _take(have, target, designs)
    for config in {config.data: config for config in missing}.values():
        load_run_data(config)  # what is missing is said now, not after hours
    members = sum(len(config.seeds) for config in missing)
    say(f"Training and measuring {len(missing)} ensembles, {members} networks, in {runs}")
    _train_small(dial, sweep, runs, target, device=device, workers=workers, progress=progress)
    for design in designs:
        for block in design.blocks:
            if stacked:
                lacking = [run for run in missing if run.seeds == tuple(block) and run in design.all_runs]
                train_stacked(lacking, runs, device=device, progress=progress)
            measure_block(design, block, runs, target, device=device, workers=workers, progress=progress, say=say)
        if design.name in _COMPARED:
            _compare_with_lazy_limit(design, target, device, progress)
        if design.name == "digits" and profile != "quick":  # a picture that takes minutes
            _look_between(design, runs, target, device=device, workers=workers, progress=progress)
    _describe(designs if profile == "gpu" else [], target, say)
    return _report(target, workers, say)


def measure_block(
    design: Design,
    block: Sequence[int],
    runs: Path,
    target: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
    say: Say = print,
) -> None:
    """Train and measure what a block of a design still lacks, and put the records with the results.

    Args:
        design: its conditions.
        block: its seeds.
        runs: folder of all runs.
        target: folder of results; a record that is there is not made again.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: members trained at once; default one per CPU core or GPU.
        progress: told after every finished piece.
        say: told when the block is measured.
    """
    options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress}
    runs_of = {n: run for n, run in design.runs(block).items() if not _is_there(target, design, n, run)}
    if not runs_of:
        return
    train_runs(runs_of.values(), runs, **options)
    for how in dict.fromkeys(map(design.measurement, runs_of)):
        measure_runs([run for n, run in runs_of.items() if design.measurement(n) == how], runs, how=how, **options)
    for run in runs_of.values():
        write_atomically(_record(target, design, run), (run_folder(runs, run) / "record.npz").read_bytes())
    add_weight_norms(target / "weight-norms.json", runs_of.values(), runs)
    say(f"{design.name}: block of seeds {', '.join(map(str, block))} is measured")


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


def _train_small(
    dial: Dial | None,
    sweep: Sweep | None,
    runs: Path,
    target: Path,
    *,
    device: str,
    workers: int | None,
    progress: Progress,
) -> None:
    """Train the small networks of dial and sweep, and put what they gave with the results."""
    if dial:
        save_json(target / dial.results, run_dial(dial, runs, device=device, workers=workers, progress=progress))
    if sweep:
        save_json(target / sweep.results, run_sweep(sweep, runs, device=device, workers=workers, progress=progress))


def _record(target: Path, design: Design, run: RunConfig) -> Path:
    """Where the record of a run is, in a folder of results."""
    return target / design.name / f"{run.run_id}.npz"


def _is_there(folder: Path, design: Design, name: str, run: RunConfig) -> bool:
    """Whether a folder of results has a run, measured as its design says."""
    path = _record(folder, design, run)
    return path.exists() and load_record(path).measured_as(design.measurement(name))


def _as_measured(design: Design, folders: Sequence[Path]) -> Design:
    """The design, or with the measurement of the whole one of its name if all its runs are there measured like that.

    One measurement for all of a design: means over test points need the same points in every block.

    Returns:
        A design of the same runs.
    """
    whole = replace(design, how=DESIGNS[design.name].how, how_others=DESIGNS[design.name].how_others)
    runs = [(name, run) for of in design.runs_of_blocks.values() for name, run in of.items()]
    there = all(any(_is_there(folder, whole, name, run) for folder in folders) for name, run in runs)
    return whole if there else design


def _take(have: Path, target: Path, designs: Iterable[Design]) -> None:
    """Copy the records of some designs from one folder of results to another that lacks them."""
    for file in have.glob("comparison-*.json"):
        if file.stem.removeprefix("comparison-") in {design.name for design in designs}:
            write_atomically(target / file.name, file.read_bytes())
    if (have / "weight-norms.json").exists() and not (target / "weight-norms.json").exists():
        write_atomically(target / "weight-norms.json", (have / "weight-norms.json").read_bytes())
    if "digits" in {design.name for design in designs} and (have / "planes.json").exists():
        write_atomically(target / "planes.json", (have / "planes.json").read_bytes())
    for design in designs:
        for name, run in (item for runs in design.runs_of_blocks.values() for item in runs.items()):
            if not _is_there(target, design, name, run) and _is_there(have, design, name, run):
                write_atomically(_record(target, design, run), _record(have, design, run).read_bytes())


def _compare_with_lazy_limit(design: Design, target: Path, device: str, progress: Progress) -> None:
    """Put SGD and SAM of a design's first blocks beside the lazy limit of their networks, if that is not done."""
    path = target / f"comparison-{design.name}.json"
    if path.exists():
        return
    runs = [design.runs(block)[name] for block in design.blocks[:3] for name in CURVE]
    found = compare_runs([_record(target, design, run) for run in runs], device=device, progress=progress)
    save_json(path, found.to_json())


def _look_between(design: Design, runs: Path, target: Path, **options: Any) -> None:
    """Measure planes through members of a design's first block, if that is not done and the networks are here."""
    path, of = target / "planes.json", design.runs(design.blocks[0])
    files = [
        run_folder(runs, of[name]) / f"member-{seed}.safetensors" for name in _ON_PLANES for seed in of[name].seeds
    ]
    if not path.exists() and all(file.exists() for file in files):
        save_planes(path, plane_runs([of[name] for name in _ON_PLANES], runs, **options))


def _describe(designs: Sequence[Design], target: Path, say: Say) -> None:
    """Say what was measured of designs that no claim is about."""
    for design in designs:
        for line in described(design, load_evidence(target)):
            say(line)


def _report(target: Path, workers: int | None, say: Say) -> Reproduction:
    """Verdicts, report and figures of the results in a folder, and which verdicts survive on these networks."""
    say(f"Checking {len(CLAIMS)} claims")
    evidence = load_evidence(target)
    at_once = workers or default_workers(torch.device("cpu"))
    findings = check_claims(CLAIMS, evidence, workers=at_once, say=say)
    report = target / "paper_checks.md"
    write_atomically(report, summary(findings).encode())
    write_pages(target / FOLDER, findings)
    figures = tuple(render_figures(drawable(evidence), evidence, target / "figures", workers=at_once))
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
    pictures = {
        file.stem: Picture(file, **vars(FIGURES[file.stem].words(evidence)))
        for file in figures
        if file.suffix == ".png" and file.stem in FIGURES
    }
    write_atomically(path, html(Report(findings, evidence, pictures, rows)).encode())
