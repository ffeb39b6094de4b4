"""What a number is said to depend on: the commit of a checkout and of nothing else, the processor, the protocol."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sharpdiv.empirical import provenance as module
from sharpdiv.empirical.provenance import PROTOCOL, commit, protocol_name, provenance
from tests.laws import Mutation, law

CPU = torch.device("cpu")
HERE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _ask_anew() -> Iterator[None]:
    """Both are asked once in a process."""
    for function in (commit, protocol_name):
        function.cache_clear()
    yield
    for function in (commit, protocol_name):
        function.cache_clear()


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *words]  # no settings of the machine, no repository around
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, which the code believes to be in."""
    (tmp_path / "empirical").mkdir()
    (tmp_path / "empirical" / "provenance.py").write_text("first\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    return tmp_path


def test_the_commit_of_a_checkout(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes.txt").write_text("not tracked")
    assert commit() == head
    commit.cache_clear()
    (checkout / "empirical" / "provenance.py").write_text("second\n")
    assert commit() == f"{head}-dirty"


def test_there_is_no_commit_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also below another project's checkout, whose commit says nothing of this code."""
    inside = tmp_path / "site-packages"
    inside.mkdir()
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(module, "CHECKOUT", inside)
    assert commit() is None


@pytest.mark.parametrize("trouble", ["no git", "no commit", "too slow"])
def test_there_is_no_commit_where_git_does_not_answer(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "no git":
        monkeypatch.setenv("PATH", str(checkout))
    elif trouble == "no commit":
        (checkout / ".git" / "HEAD").write_text("ref: refs/heads/none\n")
    else:

        def late(*_: Any, **__: Any) -> None:
            raise subprocess.TimeoutExpired("git", 30)

        monkeypatch.setattr(subprocess, "run", late)
    assert commit() is None


@law(
    Mutation("a version left out", "sharpdiv.empirical.provenance.__version__", lambda _: None),
    Mutation(
        "the machine's name for the processor's", "sharpdiv.empirical.provenance._cpu", lambda _: platform.machine
    ),
    Mutation(
        "the name of another protocol", "sharpdiv.empirical.provenance.load_json", lambda _: lambda _: {"protocol": 0}
    ),
    Mutation("another checkout", "sharpdiv.empirical.provenance._git", lambda _: lambda *_: "0" * 40),
)
def test_provenance_is_of_this_code_and_this_machine() -> None:
    for function in (commit, protocol_name):
        function.cache_clear()
    found = provenance(CPU)
    assert found["device"] == "cpu"
    assert found["platform"] == f"{platform.system()} {platform.machine()}"
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["python"] == platform.python_version()
    for library in ("torch", "numpy", "safetensors", "sharpdiv"):
        assert found[library] == importlib.metadata.version(library)
    if Path("/proc/cpuinfo").exists() and "model name" in (info := Path("/proc/cpuinfo").read_text(encoding="utf-8")):
        assert f": {found['processor']}\n" in info
    assert found["processor"]
    # The protocol's name is the checksum that its file carries, over its content with sorted keys.
    content = json.loads(PROTOCOL.read_text(encoding="utf-8"))
    stated = content.pop("sha256")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert found["protocol"] == stated == hashlib.sha256(text.encode()).hexdigest()
    if (HERE / ".git").exists():
        assert found["commit"].removesuffix("-dirty") == git(HERE, "rev-parse", "HEAD")
    else:
        assert found["commit"] is None
    json.dumps(found, allow_nan=False)


def test_without_a_protocol_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROTOCOL", tmp_path / "none.json")
    assert protocol_name() is None
    assert provenance(CPU)["protocol"] is None
