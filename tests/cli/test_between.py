"""``sharpdiv between``: barriers of runs and of a user's own networks, as numbers and as a picture."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sharpdiv.empirical.connectivity.lines import barriers
from sharpdiv.empirical.connectivity.of_runs import open_members
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from tests.cli.calling import run

RUN = RunConfig("sgd", seeds=(1, 2, 3), train_samples=40, width=2, blocks=(1,), epochs=1, batch_size=20)
SMALL = ["--points", "3", "--test-samples", "20"]
MODULE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def normed():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

def _set(seed, size):
    g = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(size, 4, generator=g), torch.randint(3, (size,), generator=g))

def test():
    return _set(1, 30)

def both():
    return _set(2, 20), _set(1, 30)

def of_other_classes():
    inputs, labels = _set(1, 30).tensors
    return TensorDataset(inputs, labels + 1)

def ignored():
    inputs, labels = _set(1, 30).tensors
    return TensorDataset(inputs, labels.clone().fill_(-100))

def of_other_pixels():
    inputs, labels = _set(1, 30).tensors
    return TensorDataset(inputs[:, :2], labels)

class Lost(TensorDataset):
    def __getitem__(self, place):
        raise OSError if place < 0 else KeyError("photo 21")

def lost():
    return Lost(*_set(1, 30).tensors)

def plain():
    return nn.Linear(4, 3)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    train_runs([RUN], root, workers=1)
    return root / RUN.run_id


def test_barriers_of_a_run(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    status, out, err = run(capsys, "between", str(folder), *SMALL)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].split()[:4] == ["ensemble", "member", "and", "distance"]
    assert [line.split()[1:3] for line in lines[2:]] == [["1", "2"], ["1", "3"], ["2", "3"]]
    status, out, _ = run(capsys, "between", str(folder), *SMALL, "--json", "-")
    (found,) = json.loads(out)["ensembles"]
    expected = open_members(folder, 1024, 20).barriers(3)
    assert found["members"] == ["1", "2", "3"]
    assert found["barriers"] == {name: each.to_json() for name, each in expected.items()}


@pytest.mark.long
@pytest.mark.slow
def test_planes_of_a_run_are_written_and_drawn(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    status, out, err = run(capsys, "between", str(folder), *SMALL, "--grid", "2", "--out", str(tmp_path))
    assert (status, err) == (0, "")
    pictures = ["plane.png", "plane.svg", "plane.pdf", "plane-dark.png", "plane-dark.svg"]
    assert out.splitlines()[-6:] == [str(tmp_path / name) for name in ("planes.json", *pictures)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["planes.json", *pictures])
    figures = tmp_path / "again"
    status, _, _ = run(capsys, "figures", "--only", "plane", "--results", str(tmp_path), "--out", str(figures))
    assert status == 0
    assert (figures / "plane.png").read_bytes() == (tmp_path / "plane.png").read_bytes()


def test_networks_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_normed.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    states = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        network(torch.randn(9, 4))  # statistics of its own
        states.append(network.state_dict())
        torch.save(states[-1], tmp_path / f"{seed}.pt")
    (tmp_path / "s").mkdir()
    (tmp_path / "1.pt").rename(tmp_path / "s" / "0.pt")
    own = ["between", "--model", "users_normed:normed", "--checkpoints", "0.pt", "s/0.pt", "2.pt", "--points", "3"]
    status, out, err = run(capsys, *own, "--data", "users_normed:both", "--json", "-")
    assert (status, err) == (0, "")
    (found,) = json.loads(out)["ensembles"]
    assert found["members"] == ["0.pt", "s/0.pt", "2.pt"]
    generator = torch.Generator().manual_seed(2)
    train = (torch.randn(20, 4, generator=generator), torch.randint(3, (20,), generator=generator))
    assert found["barriers"]["train"] == barriers(network, states, train, train=train, points=3).to_json()
    assert "test" in found["barriers"]

    status, _, err = run(capsys, *own, "--data", "users_normed:test")
    assert (status, err.count("\n")) == (2, 1)
    assert "give the training data" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "between needs the folder of at least one run, or --model, --checkpoints and --data"),
        (("--model", "a:b"), "need --model, --checkpoints and --data"),
        (("somewhere", "--model", "a:b"), "--model is about networks that are not ours"),
        (("--model", "a:b", "--out", "here"), "--out writes planes of runs of ours"),
        (("--model", "a:b", "--test-samples", "3"), "--test-samples is about runs of ours"),
        (("nowhere", "--grid", "7"), "--grid is about planes, which --out FOLDER writes"),
        (("nowhere",), "nowhere"),
        (("--points", "1", "nowhere"), "points must be at least 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "between", *arguments)
    assert (status, out) == (2, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("of_other_classes", "labels must lie between 0 and 2 for 3 classes, got 1 to 3"),
        ("ignored", "labels hold -100, which marks samples that losses ignore; leave these samples out"),
        ("of_other_pixels", "the network failed on the data: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("lost", "KeyError: 'photo 21'"),
    ],
)
def test_what_is_wrong_with_a_users_data_is_told_in_one_line(
    data: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_faulty.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        torch.save(nn.Linear(4, 3).state_dict(), f"{name}.pt")
    named = ("--model", "users_faulty:plain", "--data", f"users_faulty:{data}")
    status, out, err = run(capsys, "between", *named, "--checkpoints", "a.pt", "b.pt", "--points", "2")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
