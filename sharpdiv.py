"""The command line of sharpdiv: every command's arguments, its call, and how its numbers are shown."""

import difflib
import functools
import importlib.metadata
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from theory import ConvergenceError, DomainError, Setting, Tradeoff, sam_tradeoff, sharpbalance_tradeoff, simulate

if TYPE_CHECKING:
    from checks import Claim, Evidence, Finding

# Commands that need PyTorch import it when they are called, so that the theory answers at once.

PROJECT = Path(__file__).resolve().parent
RESULTS = PROJECT / "results" / "digits.json"
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
    from empirical import DivergenceError, InputError, StoreError, WorkerError

    bad_input = (DomainError, UsageError, OSError, MemoryError, InputError, StoreError)
    return bad_input, (ConvergenceError, DivergenceError, WorkerError)


def _parse(name: str, arguments: list[str]) -> int:
    """Parse with tyro and call; its framed error messages become one line."""
    captured = io.StringIO()
    calls: list[Callable[[], int]] = []
    command = COMMANDS[name]()
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
    """Which ensembles on the quadratic problem, one for each rho."""

    method: Annotated[Literal["gd", "sam", "sharpbalance"], tyro.conf.Positional]
    """gd (rho = 0), sam, or sharpbalance"""
    rho: tuple[float, ...] = ()
    """one or more SAM radii"""
    blocks: int | None = None
    """s, disjoint row blocks with one member each (sharpbalance: default 10; gd: the control on blocks)"""
    members: int | None = None
    """m of the ensemble error for gd and sam on all the data, default 3; blocks have one member each"""

    def resolved(self) -> "Ensemble":
        """With the method's own radii and blocks (None: all the data) filled in, or a usage error."""
        if self.members is not None and (self.blocks is not None or self.method == "sharpbalance"):
            raise UsageError("--members goes with gd and sam on all the data; blocks have one member each")
        if self.method == "gd":
            if any(value != 0 for value in self.rho):
                raise UsageError(f"gd is rho = 0, got --rho {' '.join(map(str, self.rho))}; use sam or sharpbalance")
            return replace(self, rho=self.rho or (0.0,))
        if not self.rho:
            raise UsageError(f"{self.method} needs --rho with at least one radius")
        if self.method == "sam" and self.blocks is not None:
            raise UsageError("sam trains on all the data; --blocks goes with sharpbalance and gd")
        return replace(self, blocks=10) if self.method == "sharpbalance" and self.blocks is None else self


def _theory() -> Callable[..., int]:
    def theory(
        ensemble: Annotated[Ensemble, Flat], setting: Annotated[Setting, Flat] = Setting(), *, json: Json = None
    ) -> int:
        """Closed forms: diversity, sharpness, errors and EIR, one point for each rho.

        Args:
            ensemble: which ensembles.
            setting: the quadratic problem.
            json: where to write the points.
        """
        ensemble = ensemble.resolved()
        curve = _tradeoff(setting, ensemble)
        points = [_point(curve, i) for i in range(len(ensemble.rho))]
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return theory


def _simulate() -> Callable[..., int]:
    def simulate_(
        ensemble: Annotated[Ensemble, Flat],
        setting: Annotated[Setting, Flat] = Setting(),
        *,
        draws: int = 10,
        inits: int = 100,
        seed: int = 0,
        json: Json = None,
    ) -> int:
        """The Monte Carlo referee: the same numbers from drawn data, with standard errors.

        Args:
            ensemble: which ensembles.
            setting: the quadratic problem.
            draws: data sets.
            inits: initialisations for each of them.
            seed: of the random generator.
            json: where to write the points.
        """
        ensemble = ensemble.resolved()
        if seed < 0:
            raise UsageError(f"--seed must be non-negative, got {seed}")
        curve = _tradeoff(setting, ensemble)
        size = {"blocks": ensemble.blocks or 1, "members": _members(ensemble), "draws": draws, "inits": inits}
        measured = simulate(setting, ensemble.rho, **size, seed=seed)
        points = []
        for i in range(len(ensemble.rho)):
            point = _point(curve, i)
            for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
                estimate = getattr(measured, name)
                stderr = None if estimate.stderr is None else _finite(estimate.stderr[i])
                point[name] = {"mean": _finite(estimate.mean[i]), "stderr": stderr}
            points.append(point)
        _show({"points": points}, json, lambda console: _point_table(console, points))
        return 0

    return simulate_


def _members(ensemble: Ensemble) -> int:
    return 3 if ensemble.members is None else ensemble.members


def _tradeoff(setting: Setting, ensemble: Ensemble) -> Tradeoff:
    if ensemble.blocks is None:
        return sam_tradeoff(setting, ensemble.rho, members=_members(ensemble))
    return sharpbalance_tradeoff(setting, ensemble.rho, blocks=ensemble.blocks)


def _point(curve: Tradeoff, i: int) -> dict[str, Any]:
    """One rho as the contract's JSON object; what has no value is null, with the reason."""
    names = (
        "rho",
        "diversity",
        "sharpness",
        "sharpness_lower",
        "sharpness_upper",
        "member_error",
        "ensemble_error",
        "eir",
    )
    arrays = {name: getattr(curve, name) for name in names}
    point: dict[str, Any] = {name: None if a is None else _finite(a[i]) for name, a in arrays.items()}
    point |= {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}
    reasons = {
        "sharpness_lower": "no lower bound is published for this case"
        if curve.sharpness_lower is None
        else "J has no value",
        "eir": "the member error is 0",
        "critical_rho": "the learning rate is too large: not even rho = 0 contracts",
    }
    missing = [f"{name}: {reason}" for name, reason in reasons.items() if point[name] is None]
    return point | ({"reason": "; ".join(missing)} if missing else {})


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _point_table(console: Console, points: list[dict[str, Any]]) -> None:
    names = [name for name in points[0] if name != "reason"]
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for point in points:
        table.add_row(*(_text(point[name]) for name in names))
    console.print(table)
    for reason in dict.fromkeys(point["reason"] for point in points if "reason" in point):
        console.print(f"- = no value. {reason}")


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
    table(Console(width=None if sys.stdout.isatty() else 200, highlight=False))


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
            results: measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
            json: where to write the verdicts with their numbers.
        """
        from checks import CLAIMS, render

        known = {claim.id: claim for claim in CLAIMS}
        for name in only:
            if name not in known:
                raise UsageError(f"unknown claim {name!r}{_nearest(name, known)}; known: {', '.join(known)}")
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
    """1 if a statement of the implementation does not hold."""
    return int(any(claim.subject == "implementation" and finding.verdict != "holds" for claim, finding in findings))


# ----------------------------------------------------------------------------------------------------------- experiments


def _train() -> Callable[..., int]:
    from empirical import RunConfig, train_runs

    def train(
        config: Annotated[RunConfig, Flat],
        *,
        runs: Path = RUNS,
        device: Device = "cpu",
        workers: int | None = None,
    ) -> int:
        """Train one ensemble; what is trained already is skipped, what was interrupted resumes.

        Args:
            config: the ensemble.
            runs: folder of all runs.
            device: where to train.
            workers: members trained at once; default one per CPU core, 1 on a GPU.
        """
        with _progress() as progress:
            train_runs([config], runs, device=device, workers=workers, progress=progress)
        print(runs / config.run_id)
        return 0

    return train


def _measure() -> Callable[..., int]:
    from empirical import measure

    def measure_(
        run: Annotated[tuple[Path, ...], tyro.conf.Positional], *, device: Device = "cpu", json: Json = None
    ) -> int:
        """Measure trained runs: sharpness, diversity, accuracy, calibration, corruptions.

        Args:
            run: folders of runs, as sharpdiv train prints them.
            device: where to measure.
            json: where to write the results.
        """
        if not run:
            raise UsageError("measure needs the folder of at least one run")
        results = {str(folder): measure(folder, device=device) for folder in run}
        rows = {name: _summary(result) for name, result in results.items()}
        _show({"runs": results}, json, lambda console: _columns(console, rows))
        return 0

    return measure_


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    """The measured numbers of a run that fit a table."""
    corrupted = [level for levels in result["corrupted"].values() for level in levels]
    members = result["members"]
    return {
        **{name: value for name, value in result["metrics"].items() if not isinstance(value, list)},
        **{
            name: sum(members[name]) / len(members[name]) for name in ("sharpness", "sharpness_plain", "train_accuracy")
        },
        "corrupted_accuracy_mean": sum(level["accuracy_mean"] for level in corrupted) / len(corrupted),
        "corrupted_accuracy_ensemble": sum(level["accuracy_ensemble"] for level in corrupted) / len(corrupted),
    }


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
            only: names of figures; default all.
            out: folder to write to.
            results: measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
        """
        from figures import FIGURES, render

        for name in only:
            if name not in FIGURES:
                raise UsageError(f"unknown figure {name!r}{_nearest(name, FIGURES)}; known: {', '.join(FIGURES)}")
        for path in render(only or FIGURES, _evidence(results), out):
            print(path)
        return 0

    return figures


def _reproduce() -> Callable[..., int]:
    def reproduce(*, profile: Literal["quick"] = "quick", runs: Path = RUNS, workers: int | None = None) -> int:
        """The main job: train and measure ensembles, check every claim, render figures, write the report.

        Everything is written below the folder of runs; nothing that is committed changes.

        Args:
            profile: quick is 21 ensembles on the digits, minutes on two cores.
            runs: folder of all runs; finished work in it is skipped.
            workers: members trained at once; default one per CPU core.
        """
        from checks import CLAIMS, load_evidence, render
        from empirical import measure_runs, train_runs
        from empirical.profiles import PROFILES
        from empirical.store import save_json, write_atomically
        from figures import FIGURES
        from figures import render as render_figures

        configs = PROFILES[profile]
        target = runs / "reproduce"
        members = sum(len(config.seeds) for config in configs)
        print(f"Training and measuring {len(configs)} ensembles, {members} networks, in {runs}")
        with _progress() as progress:
            train_runs(configs, runs, workers=workers, progress=progress)
            results = measure_runs(configs, runs, workers=workers, progress=progress)
        save_json(target / "digits.json", {"profile": profile, "runs": results})
        print(f"Checking {len(CLAIMS)} claims")
        evidence = load_evidence(target / "digits.json")
        findings = _findings(list(CLAIMS), evidence)
        write_atomically(target / "paper_checks.md", render(findings).encode())
        paths = render_figures(FIGURES, evidence, target / "figures")
        print(
            f"Report: {target / 'paper_checks.md'}\nFigures: {', '.join(str(p) for p in paths if p.suffix == '.png')}"
        )
        return _status(findings)

    return reproduce


COMMANDS: dict[str, Callable[[], Callable[..., int]]] = {
    "theory": _theory,
    "simulate": _simulate,
    "check": _check,
    "train": _train,
    "measure": _measure,
    "metrics": _metrics,
    "figures": _figures,
    "reproduce": _reproduce,
}
"""Commands by name, each as a function that imports what it needs and returns the command."""

if __name__ == "__main__":
    main()
