"""The command line as a whole: help, which command is meant, what is imported."""

import shutil
import subprocess
import sys

import pytest

from sharpdiv.cli import main
from sharpdiv.cli.commands import COMPLETION, Command, load
from tests.cli.calling import run


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert f"usage: sharpdiv {command}" in out


def test_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys)[1] == run(capsys, "--help")[1]
    assert all(name in run(capsys, "--help")[1] for name in main.COMMANDS)
    assert run(capsys, "--version")[1].startswith("sharpdiv ")


@pytest.mark.parametrize("command", [*(c for c in main.COMMANDS.values() if c.function), COMPLETION])
def test_summaries_are_those_of_the_commands(command: Command) -> None:
    assert command.summary == (load(command.function).__doc__ or "").splitlines()[0]


def test_words_instead_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "help") == run(capsys, "--help")
    assert run(capsys, "version") == run(capsys, "--version")
    for words in ("train", "data fetch", "theory random-features"):
        asked = run(capsys, "help", *words.split())
        assert asked == run(capsys, *words.split(), "--help")
        assert f"usage: sharpdiv {words} " in asked[1]
    assert run(capsys, "help", "theroy")[2] == run(capsys, "theroy")[2]


def test_commands_of_two_words_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "data", "--help")
    assert status == 0
    for word in ("list", "fetch", "verify"):
        summary = (load(f"data:{word}_data").__doc__ or "").split(";")[0].split(",")[0]
        assert f"{word} " in out
        assert summary[:40] in out
    for command in ("theory", "simulate"):
        for model in ("random-features", "two-layer", "diagonal"):
            assert f"sharpdiv {command} {model}" in " ".join(run(capsys, command, "--help")[1].split())


def loaded(code: str, modules: str) -> None:
    """Run code in an interpreter of its own, which then must not have imported any of the modules."""
    check = f"assert not {{*{modules.split()}}} & {{*sys.modules}}, {{*{modules.split()}}} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", f"import sys; {code}; {check}"], check=True, capture_output=True)


def test_the_theory_needs_no_pytorch() -> None:
    """Importing it takes seconds, which a closed form should not cost."""
    loaded("from sharpdiv.cli.main import run; run(['theory', 'sam', '--rho', '0.1'])", "torch rich")


@pytest.mark.parametrize("arguments", [["data", "list"], ["metrics", "--help"]], ids=" ".join)
def test_what_needs_no_pytorch_does_not_wait_for_it(arguments: list[str]) -> None:
    loaded(f"from sharpdiv.cli.main import run; run({arguments})", "torch sklearn scipy.stats")


@pytest.mark.slow
def test_only_the_claim_about_proofs_waits_for_sympy() -> None:
    loaded("import sharpdiv.checks.registry", "sympy sklearn")


@pytest.mark.parametrize("word", ["--help", "--version", "help", "nonsense"])
def test_what_needs_no_command_imports_none(word: str) -> None:
    loaded(f"from sharpdiv.cli.main import run; run(['{word}'])", "torch numpy scipy tyro rich")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_every_command(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    status, out, err = run(capsys, "completion", shell)
    assert (status, err) == (0, "")
    assert all(name in out for name in (*main.COMMANDS, "verify", "--data-spectrum", "--dry-run"))
    assert f"sharpdiv completion {shell} > " in run(capsys, "--help")[1]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_completion_works_in_bash(capsys: pytest.CaptureFixture[str]) -> None:
    script = run(capsys, "completion", "bash")[1]
    script += '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}\n'
    script += 'eval "$(complete -p sharpdiv | sed "s/.*-F \\([^ ]*\\).*/\\1/")"; echo "${COMPREPLY[@]}"\n'

    def offered(*words: str) -> set[str]:
        command = ["bash", "-s", "--", "sharpdiv", *words]
        return set(subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout.split())

    assert set(main.COMMANDS) <= offered("")
    assert offered("data", "f") == {"fetch"}
    assert offered("train", "--schedule", "o") == {"one-cycle"}
