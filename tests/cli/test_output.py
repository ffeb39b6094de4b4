"""Points of the theory's commands as files, plots and LaTeX: the same numbers everywhere, and nothing where it cannot be."""

import csv
import sys
from pathlib import Path

import pytest

from tests.cli.calling import points, run

MODELS = {
    "": ("sam", "--rho", "0:0.2:3"),
    "random-features": ("sam", "--rho", "0:0.2:3", "--n", "60", "--d", "30", "--features", "40"),
    "two-layer": ("sam", "--rho", "0:0.01:3", "--n", "20", "--d", "40", "--width", "30", "--m", "5"),
    "diagonal": ("sam", "--rho", "0:0.2:3", "--n", "40", "--d", "120"),
}
SIZES = {
    "": ("--n", "40", "--d", "10", "--draws", "2", "--inits", "3"),
    "random-features": ("--draws", "2", "--networks", "2", "--test-samples", "20"),
    "two-layer": ("--draws", "2", "--networks", "2"),
    "diagonal": ("--draws", "2", "--networks", "2"),
}


def _command(verb: str, model: str) -> list[str]:
    return [verb, *([model] if model else []), *MODELS[model], *(SIZES[model] if verb == "simulate" else ())]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_table_has_the_numbers_of_the_points(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str) -> None:
    command, path = _command("theory", model), tmp_path / "new" / "curve.csv"
    found = points(capsys, *command)
    status, _, err = run(capsys, *command, "--csv", str(path))
    assert (status, err) == (0, "")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, point in zip(rows, found, strict=True):
        for name, value in point.items():
            if isinstance(value, float):
                assert float(row[name]) == value, name
            elif value is None:
                assert not row[name]
        assert row["stable"] in {"true", "false"}


def test_a_standard_error_has_a_column_of_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = _command("simulate", "")
    found = points(capsys, *command)
    assert run(capsys, *command, "--csv", str(tmp_path / "curve.csv"))[0] == 0
    with (tmp_path / "curve.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert float(row["diversity"]) == found[0]["diversity"]["mean"]
    assert float(row["diversity_stderr"]) == found[0]["diversity"]["stderr"]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("verb", ["theory", "simulate"])
@pytest.mark.parametrize("model", MODELS)
def test_a_plot_of_every_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str, verb: str) -> None:
    path = tmp_path / "curve.svg"
    status, _, err = run(capsys, *_command(verb, model), "--plot", str(path))
    assert (status, err) == (0, "")
    assert path.read_bytes().startswith(b"<?xml")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml")])
def test_the_ending_of_a_plot_is_its_format(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ending: str, magic: bytes
) -> None:
    written = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{ending}"
        assert run(capsys, "theory", "sharpbalance", "--rho", "0.1", "2", "--plot", str(path))[0] == 0
        written.append(path.read_bytes())
    assert written[0].startswith(magic)
    assert written[0] == written[1]


def test_a_latex_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "theory", "sam", "--rho", "0", "0.1", "--steps", "40", "--latex")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == r"\begin{tabular}{rrrrrrrr}"
    assert lines[1] == r"\toprule"
    assert lines[2].startswith(r"$\rho$ & $D$ & $\kappa$ & ")
    assert [lines[3], *lines[-2:]] == [r"\midrule", r"\bottomrule", r"\end{tabular}"]
    rows = lines[4:-2]
    assert len(rows) == 2
    assert all(row.count("&") == 7 and row.endswith(r" \\") for row in rows)
    assert r" \cdot 10^{-" in rows[1]
    assert "e-" not in out


def test_a_latex_table_says_what_diverges_and_why_numbers_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "theory", "sam", "--rho", "0.1", "0.5", "--finite", "--latex")
    heads, *rows = [line[:-3].split(" & ") for line in out.splitlines() if line.endswith(r" \\")]
    assert [row[heads.index("stable")] for row in rows] == ["yes", "no"]
    assert "% -- = no value. sharpness: no closed form at finite (n, d)" in out
    assert "stable" not in run(capsys, "theory", "sam", "--rho", "0.1", "--latex")[1]


def test_measured_numbers_have_their_errors_in_latex(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, *_command("simulate", ""), "--latex")
    assert r" \pm " in out
    assert "±" not in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--plot curve.jpg", "give a file that ends in .png, .svg or .pdf (got 'curve.jpg')"),
        ("--plot curve", "give a file that ends in .png, .svg or .pdf (got 'curve')"),
        ("--csv curve.tsv", "give a file that ends in .csv (got 'curve.tsv')"),
        ("--latex --json -", "--latex and --json - both take standard output; give --json a file"),
    ],
)
def test_what_cannot_be_written_is_said(capsys: pytest.CaptureFixture[str], options: str, message: str) -> None:
    status, out, err = run(capsys, "theory", "sam", "--rho", "0.1", *options.split())
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_plot_without_matplotlib_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files = ("--plot", str(tmp_path / "a.png"), "--csv", str(tmp_path / "a.csv"))
    status, out, err = run(capsys, "theory", "sam", "--rho", "0.1", *files)
    assert (status, out) == (2, "")
    assert "--plot needs matplotlib, which is not installed: pip install '.[plot]' in the folder of sharpdiv" in err
    assert not list(tmp_path.iterdir())
