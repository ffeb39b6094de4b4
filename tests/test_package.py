"""The package as others get it: a wheel in an empty place, whose commands work there and whose names collide with nothing."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # builds the package and starts it many times

PROJECT = Path(__file__).parents[1]
ROOMS = {"theory", "empirical", "checks", "figures"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as installers do."""
    place = tmp_path_factory.mktemp("dist")
    code = (
        "import os, sys, tarfile, pathlib; from hatchling import build; place = sys.argv[1]\n"
        "name = build.build_sdist(place)\n"
        "tarfile.open(pathlib.Path(place, name)).extractall(place, filter='data')\n"
        "os.chdir(pathlib.Path(place, name.removesuffix('.tar.gz')))\n"
        "build.build_wheel(place)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(place)], check=True, cwd=PROJECT, capture_output=True)
    (found,) = place.glob("*.whl")
    return found


@pytest.mark.parametrize(
    "name",
    [
        *(
            "README.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "CITATION.cff",
            "paper_checks.md",
            "paper_checks/c1-digits.md",
        ),
        *("Makefile", "constraints.txt", "mkdocs.yml", "docs/index.md", "docs/pages.py", "tests/test_documents.py"),
    ],
)
def test_the_source_distribution_has_what_its_tests_and_its_site_read(wheel: Path, name: str) -> None:
    (unpacked,) = (path for path in wheel.parent.iterdir() if path.is_dir())
    assert (unpacked / name).is_file()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but what the wheel installs."""
    place = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(place)
    return place


def run(installed: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    arguments = [sys.executable, *command]
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_nothing_but_sharpdiv_is_installed(installed: Path) -> None:
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"sharpdiv"}
    inside = {path.name for path in (installed / "sharpdiv").iterdir()}
    assert inside >= ROOMS | {"cli", "results", "py.typed", "__init__.pyi", "__main__.py", "reproduce.py"}
    ours = {
        path.relative_to(PROJECT)
        for room in ROOMS
        for path in (PROJECT / room).rglob("*")  # templates, schemas and styles, too
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert all((installed / "sharpdiv" / path).is_file() for path in ours)
    assert (installed / "sharpdiv" / "explore" / "app.css").is_file()
    assert {p.relative_to(PROJECT) for p in (PROJECT / "results").rglob("*") if p.is_file()} == {
        p.relative_to(installed / "sharpdiv") for p in (installed / "sharpdiv" / "results").rglob("*") if p.is_file()
    }


def test_names_beside_a_script_do_not_collide(installed: Path, tmp_path: Path) -> None:
    """A user's own checks.py, theory.py and figures/ are hers, and ours are ours."""
    for name in ("checks.py", "theory.py", "empirical.py", "results.py"):
        (tmp_path / name).write_text("mine = True\n")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "__init__.py").write_text("mine = True\n")
    (tmp_path / "script.py").write_text(
        "import checks, theory, figures, empirical, sharpdiv\n"
        "from sharpdiv import Setting, diversity\n"
        "from sharpdiv.checks.registry import CLAIMS\n"
        "assert checks.mine and theory.mine and figures.mine and empirical.mine and CLAIMS\n"
        "print(sharpdiv.__file__)\n"
    )
    found = run(installed, "script.py", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).is_relative_to(installed)


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("theory", "sam", "--rho", "0.1"), 0),
        (("check", "--only", "alternating-sum", "protocol"), 0),
        (("figures", "--only", "theory_tradeoff", "bridge", "--out", "pictures"), 0),
        (("data", "list"), 0),
        (("reproduce", "--data", "digits", "--dry-run"), 0),
        (("check", "--write"), 2),
    ],
)
def test_commands_of_the_wheel(installed: Path, tmp_path: Path, command: tuple[str, ...], status: int) -> None:
    found = run(installed, "-m", "sharpdiv", *command, cwd=tmp_path)
    assert found.returncode == status, found.stderr
    if status:
        assert "installed package" in found.stderr


def test_theory_needs_no_torch(installed: Path, tmp_path: Path) -> None:
    """Nothing of the extra ``train`` is there; what needs it says so in one line."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'safetensors', 'pooch', 'filelock', 'PIL', 'sklearn', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{installed}"}

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "sharpdiv", *command]
        return subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    for command in (
        ["--help"],
        ["--version"],
        ["theory", "sam", "--rho", "0.1", "--csv", "curve.csv", "--json", "curve.json"],
        ["simulate", "gd", "--draws", "2", "--latex"],
        ["check", "--only", "alternating-sum", "theorem2-q-exact"],
    ):
        found = call(*command)
        assert found.returncode == 0, found.stderr
        assert found.stdout
    for command in (["train", "--method", "sgd"], ["check", "--only", "c1-digits"], ["figures"]):
        found = call(*command)
        assert found.returncode == 2
        assert len(found.stderr.splitlines()) == 1
        assert "pip install '.[train]' in the folder of sharpdiv" in found.stderr
    found = call("theory", "sam", "--rho", "0.1", "--plot", "curve.png")
    assert found.returncode == 2
    assert found.stderr.endswith(
        "--plot needs matplotlib, which is not installed: pip install '.[plot]' in the folder of sharpdiv\n"
    )


USER = """
from typing import reveal_type
import sharpdiv.theory
from sharpdiv import SAM, RunRecord, Setting, Tradeoff, diversity, sam_tradeoff, worst_case_sharpness
curve: Tradeoff = sam_tradeoff(Setting(), (0.1,))
reveal_type(sharpdiv.theory.phi)
reveal_type(SAM)
reveal_type(RunRecord.sharpness)
wrong: int = diversity
"""
CHECKERS = {
    "mypy": ("mypy", "--strict", "--no-incremental", "--cache-dir", os.devnull, "user.py"),
    "pyright": ("basedpyright", "--pythonpath", sys.executable, "user.py"),
}


@pytest.mark.long
@pytest.mark.parametrize("checker", CHECKERS)
def test_types_of_the_wheel(checker: str, installed: Path, tmp_path: Path) -> None:
    """Of names that load when they are used, as a user's file sees them: all are known, and one mistake is the only error."""
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(installed)], "typeCheckingMode": "standard"})
    )
    environment = {**os.environ, "MYPYPATH": str(installed)}
    arguments = [sys.executable, "-m", *CHECKERS[checker]]
    found = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    own = [line for line in found.stdout.splitlines() if "user.py:" in line]
    (error,) = [line for line in own if " error: " in line]
    assert ":9" in error  # the line of the mistake
    revealed = [line for line in own if re.search("Revealed type|Type of", line)]
    assert len(revealed) == 3, found.stdout
    assert not any(re.search('is "(Any|Unknown)"', line) for line in revealed)
