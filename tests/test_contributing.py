"""CONTRIBUTING.md as a newcomer follows it: its blocks as an installed package, which commands, report and figures then show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODULE = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, flags=re.S))
ENTRIES = re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(.*?)\n```', TEXT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of CONTRIBUTING.md and what an installer would write beside it."""
    place = tmp_path_factory.mktemp("site")
    (place / "my_package").mkdir()
    (place / "my_package" / "__init__.py").touch()
    (place / "my_package" / "my_module.py").write_text(MODULE, encoding="utf-8")
    metadata = place / "my_package-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    lines = [f"[{group}]\n{entry.replace(chr(34), '')}" for group, entry in ENTRIES]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return place


def sharpdiv(site: Path, *arguments: str) -> str:
    """Standard output of a command in a folder beside the package."""
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PROJECT}"}
    found = subprocess.run(
        [sys.executable, "-m", "sharpdiv", *arguments],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_all_entry_points_are_there() -> None:
    assert [group for group, _ in ENTRIES] == ["sharpdiv.claims", "sharpdiv.plugins"]


@pytest.mark.slow
@pytest.mark.long
def test_a_data_set_a_method_and_a_measure_in_one_run(site: Path) -> None:
    """In processes of their own, which import the package by themselves."""
    assert "stripes" in sharpdiv(site, "data", "list")
    options = ("--seeds", "1", "2", "--epochs", "2", "--train-samples", "40", "--width", "2", "--blocks", "1")
    run = sharpdiv(
        site, "train", "--method", "asam", "--rho", "0.5", "--data", "stripes", *options, "--workers", "2"
    ).split()[-1]
    assert "stripes-asam-rho0.5-" in run
    measured = sharpdiv(
        site,
        "measure",
        run,
        *("--sharpness", "squared_gradient", "--corrupted-samples", "10", "--feature-samples", "10"),
        *("--replicates", "10", "--stored-samples", "40"),
    )
    assert "sharpness_squared_gradient" in measured
    assert "double_fault" in sharpdiv(site, "metrics", f"{run}/predictions.npz")


@pytest.mark.long
@pytest.mark.slow
def test_an_optimizer_of_the_theory(site: Path) -> None:
    """What it predicts is what it simulates: 5 standard errors of 20 draws, and 3/d."""
    arguments = ("sam", "--rho", "0.1", "--n", "900", "--d", "300", "--optimizer", "lookahead-sam", "--json", "-")
    (predicted,) = json.loads(sharpdiv(site, "theory", *arguments))["points"]
    (simulated,) = json.loads(sharpdiv(site, "simulate", *arguments, "--draws", "20"))["points"]
    found = simulated["diversity"]
    assert abs(found["mean"] - predicted["diversity"]) <= 5 * found["stderr"] + predicted["diversity"] / 100


@pytest.mark.long
@pytest.mark.slow
def test_a_claim(site: Path) -> None:
    out = sharpdiv(site, "check", "--only", "sam-flattens")
    assert re.search(r"sam-flattens +holds +SAM finds flatter minima", out)
    assert "sharpness at rho = 0" in out
    assert "sam-flattens" in sharpdiv(site, "check", "--list", "--only", "C1", "sam-*")


@pytest.mark.long
@pytest.mark.slow
def test_a_figure(site: Path) -> None:
    out = sharpdiv(site, "figures", "--only", "flatter", "--out", "drawn")
    assert "flatter.png" in out
    assert (site / "drawn" / "flatter.pdf").stat().st_size > 1000
    assert "<title>SAM lowers sharpness</title>" in (site / "drawn" / "flatter-dark.svg").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.slow
def test_without_the_package_nothing_of_it_is_there(tmp_path: Path) -> None:
    assert "stripes" not in sharpdiv(tmp_path, "data", "list")
    assert "sam-flattens" not in sharpdiv(tmp_path, "check", "--list")


@pytest.mark.long
@pytest.mark.slow
def test_a_plugin_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    metadata = tmp_path / "broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[sharpdiv.plugins]\nmine = nowhere\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"}
    command = [sys.executable, "-m", "sharpdiv", "data", "list"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "plugin mine = nowhere cannot be used (ModuleNotFoundError: No module named 'nowhere')" in line
