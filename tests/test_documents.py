"""The documents run: README's code and commands, the docstrings' examples, the generated report."""

import doctest
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

import sharpdiv
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.cli import main
from tests.laws import types_unchecked

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(enumerate(re.findall(r"```python\n(.*?)```", README, flags=re.S)))
NAMED = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("sharpdiv ")]
COMMANDS = [command for command in NAMED if command != "sharpdiv explore"]
"""Those that end; the explorer serves until it is interrupted, as tests/browser does."""


def test_the_version_to_cite_is_the_packages() -> None:
    assert f"\nversion: {sharpdiv.__version__}\n" in (PROJECT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", BLOCKS.values(), ids=[f"block {i}" for i in BLOCKS])
def test_the_code_of_the_readme_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [c for c in COMMANDS if not re.search(r"train (?!.*dry-run)|measure|metrics|compare|between|figures|report", c)],
)
def test_the_commands_of_the_readme_run(command: str) -> None:
    assert main.run(shlex.split(command)[1:]) == 0


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_of_the_readme_run_in_order_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        if command.startswith("sharpdiv report"):
            continue  # checks every claim; tests/cli/test_report.py has it with few
        words = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in shlex.split(command)[1:]]
        assert main.run([word for found in words for word in found]) == 0, command


PAGES = sorted((PROJECT / "docs").rglob("*.md"))


@pytest.mark.slow
# Lightning's and the Trainer's own, as in tests/empirical/adapters.
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval")
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator is found")
@pytest.mark.parametrize("page", PAGES, ids=[path.stem for path in PAGES])
def test_the_pages_of_the_site_run_as_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and commands in order, in one working folder; code of a page shares its names."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, block in re.findall(r"```(python|sh)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
        if kind == "python":
            if needed := re.match(r"# needs: (\w+)", block):
                pytest.importorskip(needed[1])
            exec(compile(block, page.name, "exec"), names)  # noqa: S102
            continue
        for command in block.splitlines():
            assert main.run(shlex.split(command, comments=True)[1:]) == 0, command


def test_every_command_is_in_the_readme() -> None:
    named = {command.split()[1] for command in NAMED} | {"reproduce"}
    assert named == set(main.COMMANDS)


MODULES = sorted(
    "sharpdiv." + ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for room in ("theory", "empirical")
    for path in (PROJECT / room).rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.slow
@pytest.mark.parametrize("room", ["theory", "empirical"])
def test_examples_in_docstrings_run(room: str) -> None:
    """As users run them: in each module's own names, without shape checks."""
    with types_unchecked():
        found = [
            doctest.testmod(importlib.import_module(module))
            for module in ("sharpdiv.registry", *MODULES)
            if module.startswith(f"sharpdiv.{room}") or module == "sharpdiv.registry"
        ]
    assert sum(result.attempted for result in found) > 100
    assert not any(result.failed for result in found)


def test_every_public_function_has_an_example() -> None:
    """Of the package's face; errors, tables and types of what functions give need none."""
    public = {name: getattr(sharpdiv, name) for name in dir(sharpdiv) if name[0] != "_"}
    functions = {name: value for name, value in public.items() if inspect.isfunction(value)}
    assert len(functions) > 50
    assert [name for name, value in functions.items() if not re.search(">>> |Example: see", value.__doc__ or "")] == []


def test_the_derivations_name_claims_that_exist() -> None:
    text = (PROJECT / "theory" / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"Claims?: ([^.]*)", text)
    named = {name for line in lines for name in re.findall(r"`([a-z0-9-]+)`", line)}
    assert named <= {claim.id for claim in CLAIMS}
    assert len(named) > 15


def test_the_readme_counts_the_claims() -> None:
    """It says how many there are, rightly, or that there is no other."""
    stated = re.findall(r"checks\s+(\d+|every)\s+claims?", README)
    assert stated
    assert set(stated) <= {"every", str(len(CLAIMS))}
