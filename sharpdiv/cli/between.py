"""``sharpdiv between``: what lies between the members of an ensemble, of trained runs and of networks that are not ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from sharpdiv.checks.evidence import Evidence
from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Device, Flat, Json
from sharpdiv.cli.own import given
from sharpdiv.cli.own_between import OwnMembers, barriers_of_own
from sharpdiv.cli.progress import Report, progress
from sharpdiv.cli.show import number, show, table
from sharpdiv.empirical.connectivity.lines import Barriers
from sharpdiv.empirical.connectivity.of_runs import open_members
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, RunPlane, plane_runs, save_planes
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import open_run
from sharpdiv.figures.registry import render

__all__ = ["between"]

Pairs = dict[str, tuple[tuple[str, ...], Mapping[str, Barriers]]]
"""Names of the members and their barriers, by the data that these are of; by run."""
_WHAT = ("loss", "error")


def between(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional],
    own: Annotated[OwnMembers, Flat],
    how: Annotated[PlaneConfig, Flat],
    *,
    out: Path | None = None,
    device: Device = "cpu",
    json: Json = None,
) -> int:
    """Loss between the members of ensembles: the barrier of every pair, and the plane through three members.

    A barrier is how far the loss rises above the straight line between two members' own, on the line between their weights.
    Statistics of batch norm are taken anew on the training images at every point. With --out the planes through the first three
    members of each run and a figure of them are written, too. Networks that are not ours are named by --model and --checkpoints.

    Args:
        run: folders of trained runs, as sharpdiv train prints them.
        own: networks that are not ours.
        how: settings.
        out: folder for planes.json and the figure; none of it unless given.
        device: where to measure.
        json: where to write the barriers.
    """
    options = given(own)
    if run and options:
        raise UsageError(f"{options[0]} is about networks that are not ours; it does not go with folders of runs")
    if not run and not options:
        raise UsageError("between needs the folder of at least one run, or --model, --checkpoints and --data")
    if options and out:
        raise UsageError("--out writes planes of runs of ours; of other networks use sharpdiv.loss_on_plane")
    if options and (unused := sorted({*given(how)} - {"--points"})):
        raise UsageError(f"{unused[0]} is about runs of ours; data of yours are taken as they are, on lines alone")
    if not out and how.grid != PlaneConfig.grid:
        raise UsageError("--grid is about planes, which --out FOLDER writes")
    with progress("lines") as report:
        written: list[str] = []
        if options:
            found = {str(own.model): barriers_of_own(own, how.points, device, report)}
        elif out is None:
            found = _lines(run, how, device, report)
        else:
            found, written = _planes(run, how, device, out, report)
    show({"ensembles": [_json(name, *of) for name, of in found.items()]}, json, "\n".join([_text(found), *written]))
    return 0


def _lines(runs: Sequence[Path], how: PlaneConfig, device: str, report: Report) -> Pairs:
    """Barriers between the members of runs."""
    found: Pairs = {}
    for folder in runs:
        members = open_members(folder, how.train_samples, how.test_samples, device=device)
        found[str(folder)] = _seeds(members.config), members.barriers(how.points, report)
    return found


def _planes(runs: Sequence[Path], how: PlaneConfig, device: str, out: Path, report: Report) -> tuple[Pairs, list[str]]:
    """The same with planes, and the files that these are in."""
    planes: dict[str, RunPlane] = {}
    for folder in runs:
        config, root = open_run(folder), folder.resolve().parent
        (planes[str(folder)],) = plane_runs([config], root, how=how, device=device, workers=1, progress=report)
    path = out / "planes.json"
    save_planes(path, list(planes.values()))
    pictures = render(["plane"], Evidence(planes=tuple(planes.values())), out)
    pairs: Pairs = {name: (_seeds(plane.config), plane.barriers) for name, plane in planes.items()}
    return pairs, [str(path), *map(str, pictures)]


def _seeds(config: RunConfig) -> tuple[str, ...]:
    return tuple(map(str, config.seeds))


def _json(name: str, members: tuple[str, ...], of_data: Mapping[str, Barriers]) -> dict[str, Any]:
    return {
        "ensemble": name,
        "members": list(members),
        "barriers": {data: barriers.to_json() for data, barriers in of_data.items()},
    }


def _text(found: Pairs) -> str:
    """A row for each pair."""
    rows = []
    for name, (members, of_data) in found.items():
        first = next(iter(of_data.values()))
        pairs = [(a, b) for at, a in enumerate(members) for b in members[at + 1 :]]
        columns = [first.of_pairs("distance"), *(each.of_pairs(what) for each in of_data.values() for what in _WHAT)]
        for place, (a, b) in enumerate(pairs):
            rows.append([Path(name).name, a, b, *(number(values[place] if values else None) for values in columns)])
    kinds = [f"{data} {what}" for data in next(iter(found.values()))[1] for what in _WHAT]
    headings = ("ensemble", "member", "and", "distance", *kinds)
    title = "Barriers of the mean loss (nats) and of the error (share) on the lines between members"
    return "\n".join([title, table(headings, rows, left={"ensemble"}, keys=3)])
