"""Where the commands of the theory put their points: a table, LaTeX, JSON, CSV, a plot."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Json
from sharpdiv.cli.show import number, show, table
from sharpdiv.cli.titles import Titles
from sharpdiv.empirical.atomic import write_atomically
from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import required_module

__all__ = ["Output", "show_points"]

_ALONGSIDE = ("sharpness_ensemble", "sharpness_member")
"""In files, not in tables: further places where sharpness is taken."""
_SYMBOLS = {
    "rho": r"$\rho$",
    "diversity": "$D$",
    "sharpness": r"$\kappa$",
    "sharpness_lower": r"$\kappa \ge$",
    "sharpness_upper": r"$\kappa \le$",
    "sharpness_lower_rigorous": r"$\kappa \ge$ (rigorous)",
    "sharpness_upper_rigorous": r"$\kappa \le$ (rigorous)",
    "eir": "EIR",
    "critical_rho": r"critical $\rho$",
}
"""Heads of a LaTeX table; other names are words."""


def _ends_in(*endings: str) -> Callable[[list[str]], Path]:
    def read(words: list[str]) -> Path:
        path = Path(words[0])
        if path.suffix.lower() not in endings:
            *most, last = endings
            known = f"{', '.join(most)} or {last}" if most else last
            raise ValueError(f"give a file that ends in {known} (got {words[0]!r})")
        return path

    return read


def _file(*endings: str) -> tyro.constructors.PrimitiveConstructorSpec[Path | None]:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FILE",
        instance_from_str=_ends_in(*endings),
        is_instance=lambda value: value is None or isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )


@dataclass(frozen=True)
class Output:
    """Where points go besides the terminal."""

    json: Json = None
    csv: Annotated[Path | None, _file(".csv")] = None
    """write the numbers as a table, a row for each rho"""
    plot: Annotated[Path | None, _file(".png", ".svg", ".pdf")] = None
    """draw the curves; the ending says the format: .png, .svg or .pdf"""
    latex: bool = False
    """print a LaTeX table, with the rules of booktabs, instead of one for people"""


def show_points(
    points: list[dict[str, Any]], output: Output, titles: Titles, curve: Curves, measured: Curves | None = None
) -> None:
    """Points wherever they are wanted.

    Args:
        points: one JSON object for each rho.
        output: where they go.
        titles: of the plot.
        curve: the prediction, for the plot.
        measured: the simulation, for the plot.
    """
    if output.latex and output.json == "-":
        raise UsageError("--latex and --json - both take standard output; give --json a file")
    if output.plot is not None:
        _save_plot(output.plot, titles, curve, measured)  # first: what is missing is said before anything is written
    if output.csv is not None:
        write_atomically(output.csv, _csv(points).encode())
    shown = [name for name in points[0] if name not in {"reason", *_ALONGSIDE}]
    text = _latex(points, shown) if output.latex else _table(points, shown)
    show({"points": points}, output.json, text)


def _table(points: list[dict[str, Any]], names: Sequence[str]) -> str:
    lines = [table(names, [[number(point[name]) for name in names] for point in points])]
    lines += [f"- = no value. {reason}" for reason in dict.fromkeys(p["reason"] for p in points if "reason" in p)]
    return "\n".join(lines)


def _csv(points: list[dict[str, Any]]) -> str:
    """Nothing is rounded; a standard error has a column of its own, and what has no value is empty."""
    rows = [_flat(point) for point in points]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(point: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in point.items():
        if isinstance(value, Mapping):
            row |= {name: value["mean"], f"{name}_stderr": value["stderr"]}
        else:
            row[name] = str(value).lower() if isinstance(value, bool) else value
    return row


def _latex(points: list[dict[str, Any]], names: Sequence[str]) -> str:
    """What is the same for all rho is not told for each; that some diverge, and why numbers are missing, is."""
    same = {"critical_rho", *(["stable"] if all(point.get("stable", True) for point in points) else [])}
    told = [name for name in names if name not in same]
    heads = [_SYMBOLS.get(name, name.replace("_", " ")) for name in told]
    rows = [[_latex_number(point[name]) for name in told] for point in points]
    body = [" & ".join(cells) + r" \\" for cells in (heads, *rows)]
    lines = [rf"\begin{{tabular}}{{{'r' * len(told)}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    reasons = [f"% -- = no value. {reason}" for reason in dict.fromkeys(p["reason"] for p in points if "reason" in p)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *reasons])


def _latex_number(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "--" if value is None else number(value)
    parts = [_scientific(part) for part in number(value).split("±")]
    return "$" + r" \pm ".join(parts) + "$"


def _scientific(text: str) -> str:
    mantissa, *exponent = text.split("e")
    return mantissa + (rf" \cdot 10^{{{int(exponent[0])}}}" if exponent else "")


def _save_plot(path: Path, titles: Titles, curve: Curves, measured: Curves | None) -> None:
    required_module("matplotlib", "--plot")
    from sharpdiv.figures.style import saved, style
    from sharpdiv.figures.theory.overview import draw_overview

    with style():
        write_atomically(path, saved(draw_overview(curve, measured, titles), path.suffix[1:].lower()))
