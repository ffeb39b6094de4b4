"""The command line of sharpdiv: every command's arguments, its call, and how its numbers are shown."""

import difflib
import functools
import importlib.metadata
import io
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from theory import (
    ConvergenceError,
    DomainError,
    DomainWarning,
    Setting,
    Tradeoff,
    data_law,
    sam_tradeoff,
    sharpbalance_tradeoff,
    simulate,
)

if TYPE_CHECKING:
    from checks import Claim, Evidence, Finding
    from checks.verdicts import Beside
    from empirical import PlannedRun, RunConfig
    from empirical.profiles import Design

# Commands that need PyTorch import it when they are called, so that the theory answers at once.

PROJECT = Path(__file__).resolve().parent
RESULTS = PROJECT / "results"
RUNS = Path("runs")

Json = Annotated[str | None, tyro.conf.arg(metavar="FILE", help="write the numbers as JSON; - for standard output")]
Flat = tyro.conf.arg(name="")
Device = Literal["cpu", "cuda", "mps"]


class UsageError(ValueError):
    """Arguments that do not fit together."""


def main() -> NoReturn:
    """Run one command; exits 0 when done, 1 if a check failed or a run diverged, 2 on bad usage or input."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in {"-h", "--help"}:
        _print_help()
        return 0
    if name == "--version":
        print(f"sharpdiv {importlib.metadata.version('sharpdiv')}")
        return 0
    if name not in COMMANDS:
        return _fail(f"unknown command {name!r}{_nearest(name, COMMANDS)}; sharpdiv --help lists all")
    try:
        return _parse(name, arguments[1:])
    except KeyboardInterrupt:
        return _fail("interrupted; finished work is kept, run the command again to continue", status=130)
    except Exception as error:
        bad_input, failed = _expected_errors()
        if not isinstance(error, (*bad_input, *failed)):
            raise
        return _fail(str(error), status=2 if isinstance(error, bad_input) else 1)


def _expected_errors() -> tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]:
    """Errors that mean bad input, and those that mean a failed run."""
    if "empirical" not in sys.modules:
        return (DomainError, UsageError, OSError, MemoryError), (ConvergenceError,)
    from empirical import ConvergenceError as LanczosError
    from empirical import DivergenceError, InputError, StoreError, WorkerError

    bad_input = (DomainError, UsageError, OSError, MemoryError, InputError, StoreError)
    return bad_input, (ConvergenceError, LanczosError, DivergenceError, WorkerError)


def _parse(name: str, arguments: list[str]) -> int:
    """Parse with tyro and call; its framed error messages become one line."""
    captured = io.StringIO()
    calls: list[Callable[[], int]] = []
    if arguments and (name, arguments[0]) in VARIANTS:
        load = VARIANTS[name, arguments[0]]
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    else:
        load = COMMANDS[name]
    command = load()
    arguments = _from_file(arguments) if name == "train" else arguments
    try:
        with redirect_stderr(captured):
            calls.append(tyro.cli(_deferred(command), args=arguments, prog=f"sharpdiv {name}"))
    except SystemExit as stop:
        if not stop.code:
            return 0
        lines = [line.strip("│ ") for line in captured.getvalue().splitlines()[1:]]
        end = next((i for i, line in enumerate(lines) if line.startswith(("─", "╰"))), len(lines))
        return _fail(f"{' '.join(lines[:end])} (see sharpdiv {name} --help)")
    return calls[0]()


def _deferred(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The command with its signature, but returning the call instead of making it: parsing and running stay apart."""

    @functools.wraps(command)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return functools.partial(command, *args, **kwargs)

    return bind


def _fail(message: str, status: int = 2) -> int:
    print(f"sharpdiv: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f", did you mean {close[0]!r}?" if close else ""


def _print_help() -> None:
    print(
        "usage: sharpdiv COMMAND [OPTIONS]\n\nSharpness-diversity theory of flat ensembles against trained networks.\n"
    )
    for name, load in COMMANDS.items():
        summary = (load().__doc__ or "").splitlines()[0]
        print(f"  {name:<10} {summary}")
    print(
        "\nsharpdiv COMMAND --help describes a command. Exit status: 0 done, 1 a check failed or a run diverged, 2 bad input."
    )


# ---------------------------------------------------------------------------------------------------------------- theory


@dataclass(frozen=True)
class Ensemble:
    """Which ensembles, one for each rho."""

    method: Annotated[Literal["gd", "sam", "sharpbalance"], tyro.conf.Positional]
    """gd (rho = 0), sam, or sharpbalance"""
    rho: tuple[str, ...] = ()
    """one or more SAM radii, each a number or start:stop:count"""
    blocks: int | None = None
    """s, disjoint row blocks with one member each (sharpbalance: default 10, or 3 for random features; gd: the control)"""
    members: int | None = None
    """m of the ensemble for gd and sam on all the data, default 3; blocks have one member each"""

    @property
    def radii(self) -> tuple[float, ...]:
        """The SAM radii as numbers."""
        return tuple(value for text in self.rho for value in _radii(text))

    @property
    def size(self) -> int:
        """Members of an ensemble on all the data."""
        return 3 if self.members is None else self.members

    def resolved(self, blocks: int) -> "Ensemble":
        """With the method's own radii and blocks (None: all the data) filled in, or a usage error."""
        if self.members is not None and (self.blocks is not None or self.method == "sharpbalance"):
            raise UsageError("--members goes with gd and sam on all the data; blocks have one member each")
        if self.method == "gd":
            if any(value != 0 for value in self.radii):
                raise UsageError(f"gd is rho = 0, got --rho {' '.join(self.rho)}; use sam or sharpbalance")
            return replace(self, rho=self.rho or ("0",))
        if not self.rho:
            raise UsageError(f"{self.method} needs --rho with at least one radius")
        if self.method == "sam" and self.blocks is not None:
            raise UsageError("sam trains on all the data; --blocks goes with sharpbalance and gd")
        return replace(self, blocks=blocks) if self.method == "sharpbalance" and self.blocks is None else self


@dataclass(frozen=True)
class Model:
    """Beyond the paper's model of data and optimizer."""

    data_spectrum: Path | None = None
    """file with the eigenvalues of the data's covariance Sigma (text, or .npy), instead of all 1; rows are N(0, Sigma/d)"""
    normalised: bool = False
    """the ascent step has length rho, instead of rho times the gradient's norm"""

    def covariance(self) -> "np.ndarray | None":
        """The eigenvalues in the file, or None."""
        return None if self.data_spectrum is None else _numbers(self.data_spectrum)


def _radii(text: str) -> list[float]:
    """A number, or ``start:stop:count`` with both ends."""
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return [float(text)]
        start, stop, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise UsageError(f"--rho takes numbers or start:stop:count, got {text!r}") from None
    if len(parts) > 3 or not 2 <= count <= 100_000:
        raise UsageError(f"--rho start:stop:count needs a count from 2 to 100000, got {text!r}")
    return [float(value) for value in np.linspace(start, stop, count)]


def _numbers(path: Path) -> np.ndarray:
    """A vector from a text file (separated by spaces, commas or lines; # starts a comment) or an .npy file."""
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False).astype(float)
        else:
            lines = (line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
            values = np.array([float(word) for line in lines for word in line.replace(",", " ").split()])
    except (ValueError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"{path} does not hold numbers: {error}") from None
    if values.ndim != 1 or not values.size:
        raise UsageError(f"{path} must hold a non-empty list of eigenvalues, got shape {values.shape}")
    return np.asarray(values)


def _theory() -> Callable[..., int]:
    def theory(
        ensemble: Annotated[Ensemble, Flat],
        setting: Annotated[Setting, Flat] = Setting(),
        model: Annotated[Model, Flat] = Model(),
        *,
        finite: bool = False,
        json: Json = None,
    ) -> int:
        """Closed forms: diversity, sharpness, errors and EIR, one point for each rho.

        The limit of many samples and dimensions, or exact values at the given n and d. sharpdiv theory random-features --help:
        the same for networks with random features. What has no closed form is null, with the reason.

        Args:
            ensemble: which ensembles.
            setting: the quadratic problem.
            model: covariance and optimizer.
            finite: exact at (n, d) instead of the limit: diversity, errors, and rigorous bounds of the sharpness.
            json: where to write the points; there also the sharpness at the mean of the members and at one member.
        """
        ensemble = ensemble.resolved(blocks=10)
        curve = _tradeoff(setting, ensemble, model, finite=finite)
        points = [_with_reason(_point(curve, i, finite=finite), curve) for i in range(len(curve.rho))]
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return theory


def _simulate() -> Callable[..., int]:
    def simulate_(
        ensemble: Annotated[Ensemble, Flat],
        setting: Annotated[Setting, Flat] = Setting(),
        model: Annotated[Model, Flat] = Model(),
        *,
        finite: bool = False,
        draws: int = 10,
        inits: int = 100,
        seed: int = 0,
        json: Json = None,
    ) -> int:
        """The Monte Carlo referee: the same numbers from drawn data, with standard errors.

        sharpdiv simulate random-features --help: the same for networks with random features.

        Args:
            ensemble: which ensembles.
            setting: the quadratic problem.
            model: covariance (as many eigenvalues as divide d) and optimizer.
            finite: print the rigorous bounds at (n, d) beside the published ones; what is drawn always has this size.
            draws: data sets.
            inits: initialisations for each of them.
            seed: of the random generator.
            json: where to write the points.
        """
        ensemble = ensemble.resolved(blocks=10)
        _require_seed(seed)
        curve = _tradeoff(setting, ensemble, model, finite=finite)
        measured = simulate(
            setting,
            ensemble.radii,
            blocks=ensemble.blocks or 1,
            members=ensemble.size,
            covariance=model.covariance(),
            normalised=model.normalised,
            draws=draws,
            inits=inits,
            seed=seed,
        )
        points = []
        for i in range(len(curve.rho)):
            point = _point(curve, i, finite=finite) | _measured(measured, (*MEASURED, *PLACES), i)
            points.append(_with_reason(point, curve))
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return simulate_


def _theory_random_features() -> Callable[..., int]:
    from theory.random_features import RandomFeatureSetting, random_feature_tradeoff

    def theory_random_features(
        ensemble: Annotated[Ensemble, Flat],
        setting: Annotated[RandomFeatureSetting, Flat] = RandomFeatureSetting(),
        *,
        json: Json = None,
    ) -> int:
        """Closed forms for ensembles of random-feature networks, whose members each draw their own features.

        JSON {"points": [{...}]} with, for each rho: diversity, sharpness (of one member on the data it trains on), member_error,
        ensemble_error, eir, stable, critical_rho. A limit in the Gaussian-equivalent model, averaged over the data.

        Args:
            ensemble: which ensembles.
            setting: data, network and training.
            json: where to write the points.
        """
        ensemble = ensemble.resolved(blocks=3)
        members = None if ensemble.blocks else ensemble.size
        curve = random_feature_tradeoff(setting, ensemble.radii, members=members, blocks=ensemble.blocks or 1)
        points = [_feature_point(curve, i) for i in range(len(curve.rho))]
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return theory_random_features


def _simulate_random_features() -> Callable[..., int]:
    from theory.random_features import RandomFeatureSetting, random_feature_tradeoff
    from theory.random_features_simulation import simulate_random_features

    def simulate_random_features_(
        ensemble: Annotated[Ensemble, Flat],
        setting: Annotated[RandomFeatureSetting, Flat] = RandomFeatureSetting(),
        *,
        draws: int = 10,
        networks: int = 8,
        test_samples: int = 2000,
        seed: int = 0,
        json: Json = None,
    ) -> int:
        """The Monte Carlo referee of random-feature ensembles: trains networks with the activation itself.

        Args:
            ensemble: which ensembles.
            setting: data, network and training.
            draws: data sets.
            networks: on each block of each of them.
            test_samples: test inputs in each.
            seed: of the random generator.
            json: where to write the points, with the keys of sharpdiv theory random-features.
        """
        ensemble = ensemble.resolved(blocks=3)
        _require_seed(seed)
        members, blocks = None if ensemble.blocks else ensemble.size, ensemble.blocks or 1
        curve = random_feature_tradeoff(setting, ensemble.radii, members=members, blocks=blocks)
        measured = simulate_random_features(
            setting,
            ensemble.radii,
            members=members,
            blocks=blocks,
            draws=draws,
            networks=networks,
            test_samples=test_samples,
            seed=seed,
        )
        points = [_feature_point(curve, i) | _measured(measured, MEASURED, i) for i in range(len(curve.rho))]
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return simulate_random_features_


MEASURED = ("diversity", "sharpness", "member_error", "ensemble_error", "eir")
"""What both theory and simulation give for every model."""
PLACES = ("sharpness_ensemble", "sharpness_member")
"""Further places where sharpness is taken, in the JSON only."""
RIGOROUS = ("sharpness_lower_rigorous", "sharpness_upper_rigorous")
"""Bounds that are proven at finite (n, d)."""


def _require_seed(seed: int) -> None:
    if seed < 0:
        raise UsageError(f"--seed must be non-negative, got {seed}")


def _tradeoff(setting: Setting, ensemble: Ensemble, model: Model, *, finite: bool) -> Tradeoff:
    law = data_law(setting, covariance=model.covariance(), finite=finite)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)  # said by the points themselves
        if ensemble.blocks is None:
            return sam_tradeoff(setting, ensemble.radii, members=ensemble.size, law=law, normalised=model.normalised)
        return sharpbalance_tradeoff(
            setting, ensemble.radii, blocks=ensemble.blocks, law=law, normalised=model.normalised
        )


def _point(curve: Tradeoff, i: int, *, finite: bool) -> dict[str, Any]:
    """One rho as the contract's JSON object; what has no value is null."""
    names = ("rho", "diversity", "sharpness", *PLACES, "sharpness_lower", "sharpness_upper")
    names += (*(RIGOROUS if finite else ()), "member_error", "ensemble_error", "eir")
    point: dict[str, Any] = {name: _finite(getattr(curve, name)[i]) for name in names}
    point |= {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}
    return point


def _with_reason(point: dict[str, Any], curve: Tradeoff) -> dict[str, Any]:
    """The point, and why some of it is null."""
    reasons = {
        "sharpness_lower": "J has no value",
        "sharpness_lower_rigorous": "proven up to 20 steps, for SAM without label noise",
        "sharpness_upper_rigorous": "proven without label noise only",
        "eir": "the member error is 0",
        "critical_rho": "the learning rate is too large: not even rho = 0 contracts",
        **curve.reasons,
    }
    if point["diversity"] is None:
        return point | {"reason": reasons["diversity"]}
    missing = {reasons[name]: name for name in reversed(point) if point[name] is None}
    return point | ({"reason": "; ".join(f"{name}: {why}" for why, name in missing.items())} if missing else {})


def _feature_point(curve: Any, i: int) -> dict[str, Any]:
    """One rho of a random-feature ensemble."""
    point = {name: _finite(getattr(curve, name)[i]) for name in ("rho", *MEASURED)}
    point |= {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}
    return point | ({"reason": "eir: the member error is 0"} if point["eir"] is None else {})


def _measured(measured: Any, names: tuple[str, ...], i: int) -> dict[str, Any]:
    """Estimates as mean and standard error."""
    estimates = {name: getattr(measured, name) for name in names}
    return {
        name: {"mean": _finite(e.mean[i]), "stderr": None if e.stderr is None else _finite(e.stderr[i])}
        for name, e in estimates.items()
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _point_table(console: Console, points: list[dict[str, Any]]) -> None:
    names = [name for name in points[0] if name not in {"reason", *PLACES}]
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for point in points:
        table.add_row(*(_text(point[name]) for name in names))
    console.print(table)
    for reason in dict.fromkeys(point["reason"] for point in points if "reason" in point):
        console.print(f"- = no value. {reason}", markup=False)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        stderr = "" if value["stderr"] is None else f"±{value['stderr']:.1g}"
        return _text(value["mean"]) + stderr
    if value is None or isinstance(value, bool):
        return "-" if value is None else ("yes" if value else "no")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _show(value: dict[str, Any], destination: str | None, table: Callable[[Console], None]) -> None:
    """JSON to a file or (alone) to standard output, a table otherwise."""
    text = json.dumps(value, indent=2, allow_nan=False)
    if destination == "-":
        print(text)
        return
    if destination:
        from empirical.store import write_atomically

        write_atomically(Path(destination), text.encode() + b"\n")
    table(_console())


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


# ---------------------------------------------------------------------------------------------------------------- checks


def _check() -> Callable[..., int]:
    def check(
        *, only: tuple[str, ...] = (), write: bool = False, results: Path | None = None, json: Json = None
    ) -> int:
        """Check the paper's claims and print the table of verdicts.

        Exit status 1 if a statement of the implementation does not hold; a failing claim of the paper is a finding.

        Args:
            only: ids of claims; default all.
            write: renew paper_checks.md.
            results: file or folder of measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
            json: where to write the verdicts with their numbers.
        """
        from checks import CLAIMS, render

        known = {claim.id: claim for claim in CLAIMS}
        for name in only:
            if name not in known:
                raise UsageError(f"unknown claim {name!r}{_nearest(name, known)}; paper_checks.md lists all")
        if write and only:
            raise UsageError("--write renews the whole of paper_checks.md and does not go with --only")
        findings = _findings([known[name] for name in only or known], _evidence(results), quiet=json == "-")
        if write:
            from empirical.store import write_atomically

            write_atomically(PROJECT / "paper_checks.md", render(findings).encode())
        value = {
            "claims": [
                {"id": c.id, "subject": c.subject, "verdict": f.verdict, "numbers": dict(f.numbers), "remark": f.remark}
                for c, f in findings
            ]
        }
        _show(value, json, lambda console: _print_numbers(console, findings) if only else None)
        return _status(findings)

    return check


def _evidence(results: Path | None) -> "Evidence":
    from checks import load_evidence

    if results is not None and not results.exists():
        raise UsageError(f"{results} does not exist; make reproduce writes such a file")
    return load_evidence(results or RESULTS)


def _findings(claims: "list[Claim]", evidence: "Evidence", *, quiet: bool = False) -> "list[tuple[Claim, Finding]]":
    """Check claims one by one, printing each verdict as it comes."""
    console = Console(quiet=quiet, highlight=False, width=None if sys.stdout.isatty() else 200)
    findings = []
    for claim in claims:
        findings.append((claim, claim.check(evidence)))
        console.print(f"{claim.id:<24} {findings[-1][1].verdict:<31} {claim.title}", markup=False)
    return findings


def _print_numbers(console: Console, findings: "list[tuple[Claim, Finding]]") -> None:
    for claim, finding in findings:
        console.print(f"\n{claim.statement}", markup=False)
        for label, value in finding.numbers:
            console.print(f"  {label}: {value}", markup=False)
        if finding.remark:
            console.print(f"  {finding.remark}", markup=False)


def _status(findings: "list[tuple[Claim, Finding]]") -> int:
    """1 if a statement of the implementation does not hold; what is not run, such as an open problem, says so itself."""
    wrong = (f.verdict not in {"holds", "not run"} for claim, f in findings if claim.subject == "implementation")
    return int(any(wrong))


# ----------------------------------------------------------------------------------------------------------- experiments


def _data_list() -> Callable[..., int]:
    from empirical import installed

    def data_list() -> int:
        """What data sets there are, and which of them are here."""
        table = Table(box=None, pad_edge=False)
        for heading in ("name", "images", "classes", "MB", "licence", "here"):
            table.add_column(heading, justify="right" if heading in {"classes", "MB"} else "left")
        table.add_row("digits", "1797 of 1x16x16", "10", "0", "bundled with scikit-learn", "yes")
        for row in installed():
            here = str(row.where) if row.here else "no"
            table.add_row(row.name, row.images, str(row.classes), f"{row.size / 1e6:.0f}", row.licence, here)
        _console().print(table)
        return 0

    return data_list


def _data_fetch() -> Callable[..., int]:
    from empirical import fetch, load_images

    def data_fetch(name: Annotated[str, tyro.conf.Positional], *, source: Path | None = None) -> int:
        """Download a data set and verify its checksums, or copy it from a local file or folder.

        Args:
            name: as in sharpdiv data list.
            source: file or folder to copy from instead; cifar10-jpeg can only be had so.
        """
        with _progress() as progress:
            place = fetch(name, source, progress=progress)
            load_images(name, progress=progress)  # decodes it now, so that no training has to wait for that
        print(place)
        return 0

    return data_fetch


def _data_verify() -> Callable[..., int]:
    from empirical import verify

    def data_verify(name: Annotated[str, tyro.conf.Positional]) -> int:
        """Compare the files of a data set with their checksums; exits 1 if one is missing or damaged.

        Args:
            name: as in sharpdiv data list.
        """
        checks = verify(name)
        for file, ok, detail in checks:
            print(f"{'ok' if ok else 'BAD':<4} {file}: {detail}")
        return 0 if all(check.ok for check in checks) else 1

    return data_verify


def _data() -> Callable[..., int]:
    def data() -> int:
        """Data sets: list, fetch or verify."""
        raise UsageError("data needs one of: list, fetch, verify; for example sharpdiv data list")

    return data


def _train() -> Callable[..., int]:
    from empirical import RunConfig, plan_runs, train_runs, write_config

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
            _print_plan(plan_runs([config], runs, device), device, workers)
            print("Nothing was trained.")
            return 0
        with _progress() as progress:
            train_runs([config], runs, device=device, workers=workers, progress=progress)
        print(runs / config.run_id)
        return 0

    return train


def _from_file(arguments: list[str]) -> list[str]:
    """Arguments with ``--config FILE`` replaced by the options in the file; those given beside it come after, and win."""
    if "--config" not in arguments:
        return arguments
    from empirical import read_fields

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


def _print_plan(plans: "Sequence[PlannedRun]", device: str, workers: int | None) -> None:
    """Runs, what is there, and the time the rest takes here."""
    from empirical.workers import choose_device, default_workers

    workers = workers or default_workers(choose_device(device))
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "trained", "passes left", "process hours"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for plan in plans:
        row = (f"{plan.trained} of {plan.members}", str(plan.passes), f"{plan.seconds / 3600:.2f}")
        table.add_row(plan.run_id, *row)
    _console().print(table)
    hours = sum(plan.seconds for plan in plans) / 3600 / workers
    print(f"Training: about {hours:.2f} hours with {workers} at once on {device}, measuring not counted.")


def _measure() -> Callable[..., int]:
    from empirical import MeasureConfig, measure

    def measure_(
        run: Annotated[tuple[Path, ...], tyro.conf.Positional],
        how: Annotated[MeasureConfig, Flat],
        *,
        device: Device = "cpu",
        json: Json = None,
    ) -> int:
        """Measure trained runs: sharpness, diversity, accuracy, calibration, corruptions.

        Args:
            run: folders of runs, as sharpdiv train prints them.
            how: settings of the measurement.
            device: where to measure.
            json: where to write the results.
        """
        if not run:
            raise UsageError("measure needs the folder of at least one run")
        results = {str(folder): measure(folder, how=how, device=device) for folder in run}
        rows = {name: _summary(result) for name, result in results.items()}
        _show({"runs": results}, json, lambda console: _columns(console, rows))
        return 0

    return measure_


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    """The measured numbers of a run that fit a table."""
    corrupted = result["corrupted"].values()
    members = result["members"]
    return {
        **{name: value for name, value in result["metrics"].items() if not isinstance(value, list)},
        **{f"sharpness_{name}": float(np.mean(values)) for name, values in members["sharpness"].items()},
        **{f"cka_{name}": value for name, value in result["cka"].items()},
        "train_accuracy": float(np.mean(members["train_accuracy"])),
        "corrupted_accuracy_mean": float(np.mean([kind["accuracy_mean"] for kind in corrupted])),
        "corrupted_accuracy_ensemble": float(np.mean([kind["accuracy_ensemble"] for kind in corrupted])),
    }


def _compare() -> Callable[..., int]:
    from checks import Evidence
    from checks.compare import compare_runs
    from empirical.store import save_json
    from figures import render

    def compare(
        run: Annotated[tuple[Path, ...], tyro.conf.Positional],
        *,
        train_samples: int = 200,
        test_samples: int = 400,
        out: Path = RUNS / "compare",
        device: Device = "cpu",
        json: Json = None,
    ) -> int:
        """Put measured runs beside what the tangent kernels of their own networks predict.

        The runs may differ in method, rho and seeds; those of SGD and SAM need the same seeds at every rho. The numbers and a
        figure are written to the folder --out.

        Args:
            run: folders or records (.npz) of measured runs, at least two of SGD or SAM.
            train_samples: first training images, which kernels are taken on: one of (images x classes)^2 numbers for each seed.
            test_samples: first test images, which predictions are made for.
            out: folder for comparison.json and the figure.
            device: where kernels are taken.
            json: where else to write the numbers.
        """
        with _progress() as progress:
            found = compare_runs(
                run, train_samples=train_samples, test_samples=test_samples, device=device, progress=progress
            )
        save_json(out / "comparison.json", found)
        paths = [out / "comparison.json", *render(["lazy_comparison"], Evidence(comparisons=(found,)), out)]
        _show(found, json, lambda console: _comparison_table(console, found))
        if json != "-":
            print("\n".join(map(str, paths)))
        return 0

    return compare


def _comparison_table(console: Console, found: dict[str, Any]) -> None:
    """Predicted, measured for each run and quantity; below, their rank correlation over rho."""
    names = list(found["rank_correlation"])
    table = Table(box=None, pad_edge=False)
    for heading in ("method", "rho", *names):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for point in found["points"]:
        predicted = point["predicted"] or dict.fromkeys(names)
        cells = (f"{_text(predicted[name])}, {_text(point['measured'][name])}" for name in names)
        table.add_row(point["method"], _text(point["rho"]), *cells)
    table.add_row("rank correlation", "", *(_text(found["rank_correlation"][name]) for name in names))
    accuracy = found["training_accuracy"]
    reached = f"training accuracy {_text(accuracy['predicted'])}, the runs' {_text(accuracy['run'])}"
    console.print(
        f"Predicted at k = {found['steps']} ({reached}), measured; sharpness ({found['sharpness']}) by the smallest rho's."
    )
    console.print(table)
    for reason in dict.fromkeys(point["reason"] for point in found["points"] if "reason" in point):
        console.print(f"- = no prediction: {reason}", markup=False)


def _metrics() -> Callable[..., int]:
    from empirical import diversity, load_predictions

    def metrics(predictions: Annotated[Path, tyro.conf.Positional], *, json: Json = None) -> int:
        """Diversity, accuracy and calibration of predictions of any framework.

        Args:
            predictions: .npz file with probs (members, samples, classes) and labels (samples,).
            json: where to write the metrics.
        """
        values = diversity(*load_predictions(predictions))
        _show(values, json, lambda console: _columns(console, {str(predictions): values}))
        return 0

    return metrics


def _columns(console: Console, columns: dict[str, dict[str, Any]]) -> None:
    """One column for each file or run, one row for each number."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in columns:
        table.add_column(Path(name).name, justify="right")
    for row in next(iter(columns.values())):
        cells = (column[row] for column in columns.values())
        table.add_row(row, *(", ".join(map(_text, c)) if isinstance(c, list) else _text(c) for c in cells))
    console.print(table)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars with the remaining time on a terminal's standard error, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report


# ------------------------------------------------------------------------------------------------------ figures, main job


def _figures() -> Callable[..., int]:
    def figures(*, only: tuple[str, ...] = (), out: Path = RUNS / "figures", results: Path | None = None) -> int:
        """Render the figures from results, as PNG and PDF.

        Args:
            only: names of figures; default all that the results allow.
            out: folder to write to.
            results: file or folder of measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
        """
        from figures import FIGURES, drawable, render

        for name in only:
            if name not in FIGURES:
                raise UsageError(f"unknown figure {name!r}{_nearest(name, FIGURES)}; known: {', '.join(FIGURES)}")
        evidence = _evidence(results)
        for path in render(only or drawable(evidence), evidence, out):
            print(path)
        return 0

    return figures


def _reproduce() -> Callable[..., int]:
    from empirical.config import Data

    def reproduce(
        *,
        profile: Literal["quick", "cpu", "paper"] = "quick",
        data: tuple[Data, ...] = (),
        runs: Path = RUNS,
        have: Path | None = None,
        device: Device = "cpu",
        workers: int | None = None,
        dry_run: bool = False,
    ) -> int:
        """The main job: train and measure ensembles, run the lazy-to-rich dial, check every claim, draw figures, write the report.

        Everything is written below the folder of runs; nothing that is committed changes. Interrupted, it goes on where it was.
        Seeds are trained in blocks of three, and a block's results are there when it ends.

        Args:
            profile: quick is nine seeds on the digits and a small dial, minutes on two cores; cpu has the protocol's seeds on
                digits, fashion-mnist and cifar10-jpeg and the whole dial, many hours on two cores; paper is ResNet-18 on CIFAR-10,
                CIFAR-100 and Tiny-ImageNet as in the paper, for GPUs.
            data: only what the profile has on these data sets; the dial is on digits. All unless given.
            runs: folder of all runs; finished work in it is skipped.
            have: folder of results that need not be made again, such as results/ of the checkout.
            device: where to train and measure.
            workers: members trained at once; default one per CPU core or GPU.
            dry_run: print what would be trained and how long it would take, and stop.
        """
        from checks.dial import DIALS, plan_dial, run_dial
        from empirical import plan_runs
        from empirical.profiles import PROFILES
        from empirical.runs import load_run_data
        from empirical.store import save_json

        target = runs / "reproduce"
        designs = [design for design in PROFILES[profile] if not data or design.data in data]
        dial = DIALS.get(profile) if not data or "digits" in data else None
        if not (designs or dial):
            raise UsageError(f"profile {profile} has nothing on {' or '.join(data)}")
        if have is not None and not have.is_dir():
            raise UsageError(f"--have takes a folder of results, got {have}")
        folders = [target] if have is None else [target, have]
        missing = [run for d in designs for run in d.all_runs if not any(_record(f, d, run).exists() for f in folders)]
        if dry_run or profile != "quick":
            print("Timing a step of each network", flush=True)
            plans = plan_runs(missing, runs, device) + (plan_dial(dial, runs, device) if dial else [])
            _print_plan(plans, device, workers)
        if dry_run:
            print("Nothing was trained.")
            return 0
        if have is not None:
            _take(have, target, designs)
        for config in {config.data: config for config in missing}.values():
            load_run_data(config)  # what is missing is said now, not after hours
        members = sum(len(config.seeds) for config in missing)
        print(f"Training and measuring {len(missing)} ensembles, {members} networks, in {runs}")
        options: dict[str, Any] = {"device": device, "workers": workers}
        with _progress() as progress:
            if dial:
                save_json(target / dial.results, run_dial(dial, runs, **options, progress=progress))
            for design in designs:
                _measure_design(design, runs, target, **options, progress=progress)
        return _report(target)

    return reproduce


def _record(target: Path, design: "Design", run: "RunConfig") -> Path:
    """Where the record of a run is, in a folder of results."""
    return target / design.name / f"{run.run_id}.npz"


def _take(have: Path, target: Path, designs: "Iterable[Design]") -> None:
    """Copy the records of some designs from one folder of results to another that lacks them."""
    from empirical.store import write_atomically

    for file in have.glob("comparison-*.json"):
        if file.stem.removeprefix("comparison-") in {design.name for design in designs}:
            write_atomically(target / file.name, file.read_bytes())
    for design in designs:
        for run in design.all_runs:
            source, copy = _record(have, design, run), _record(target, design, run)
            if source.exists() and not copy.exists():
                write_atomically(copy, source.read_bytes())


def _measure_design(design: "Design", runs: Path, target: Path, **options: Any) -> None:
    """All blocks, and the first ones beside their lazy limit; the dial is about the digits', a GPU's are too large for it."""
    for block in design.blocks:
        _measure_block(design, block, runs, target, **options)
    if design.name in {"fashion-mnist", "cifar10-jpeg"}:
        _compare_with_lazy_limit(design, target, options["device"], options["progress"])


def _measure_block(design: "Design", block: tuple[int, ...], runs: Path, target: Path, **options: Any) -> None:
    """Train and measure what a block of a design still lacks, and put the records with the results."""
    from empirical import measure_runs, train_runs
    from empirical.runs import run_folder
    from empirical.store import write_atomically

    runs_of = {n: run for n, run in design.runs(block).items() if not _record(target, design, run).exists()}
    if not runs_of:
        return
    train_runs(runs_of.values(), runs, **options)
    for how in dict.fromkeys(map(design.measurement, runs_of)):
        measure_runs([run for n, run in runs_of.items() if design.measurement(n) == how], runs, how=how, **options)
    for run in runs_of.values():
        write_atomically(_record(target, design, run), (run_folder(runs, run) / "record.npz").read_bytes())
    print(f"{design.name}: block of seeds {', '.join(map(str, block))} is measured", flush=True)


def _compare_with_lazy_limit(design: "Design", target: Path, device: Device, progress: Any) -> None:
    """Put SGD and SAM of a design's first blocks beside the lazy limit of their networks, if that is not done."""
    from checks.compare import compare_runs
    from checks.questions import CURVE
    from empirical.store import save_json

    path = target / f"comparison-{design.name}.json"
    if path.exists():
        return
    runs = [design.runs(block)[name] for block in design.blocks[:3] for name in CURVE]
    found = compare_runs([_record(target, design, run) for run in runs], device=device, progress=progress)
    save_json(path, found)


def _report(target: Path) -> int:
    """Verdicts, report and figures of the results in a folder, and which verdicts survive on these networks."""
    from checks import CLAIMS, load_evidence, render
    from checks.verdicts import beside
    from empirical.store import write_atomically
    from figures import drawable
    from figures import render as render_figures

    print(f"Checking {len(CLAIMS)} claims")
    evidence = load_evidence(target)
    findings = _findings(list(CLAIMS), evidence)
    write_atomically(target / "paper_checks.md", render(findings).encode())
    paths = render_figures(drawable(evidence), evidence, target / "figures")
    print(f"Report: {target / 'paper_checks.md'}\nFigures: {', '.join(str(p) for p in paths if p.suffix == '.png')}")
    _print_beside(beside(findings, evidence, load_evidence(RESULTS)))
    return _status(findings)


def _print_beside(rows: "Sequence[Beside]") -> None:
    """The table of the verdicts here and of the committed ones, and why those that differ may."""
    if not rows:
        return
    print("\nYour verdicts beside the committed ones")
    for row in rows:
        print(f"{row.claim:<34} {row.yours:<14} {row.committed:<14} {row.why}".rstrip())
    print(f"{sum(row.yours == row.committed for row in rows)} of {len(rows)} are the same.")


COMMANDS: dict[str, Callable[[], Callable[..., int]]] = {
    "theory": _theory,
    "simulate": _simulate,
    "check": _check,
    "data": _data,
    "train": _train,
    "measure": _measure,
    "metrics": _metrics,
    "compare": _compare,
    "figures": _figures,
    "reproduce": _reproduce,
}
"""Commands by name, each as a function that imports what it needs and returns the command."""

VARIANTS: dict[tuple[str, str], Callable[[], Callable[..., int]]] = {
    ("data", "list"): _data_list,
    ("data", "fetch"): _data_fetch,
    ("data", "verify"): _data_verify,
    ("theory", "random-features"): _theory_random_features,
    ("simulate", "random-features"): _simulate_random_features,
}
"""Commands of two words, by both."""

if __name__ == "__main__":
    main()
