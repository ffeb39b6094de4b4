"""Networks that are not ours on the command line, from a user's own folder: measured, compared, refused."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sharpdiv.checks.kernels.compare_own import compare_ensembles
from sharpdiv.empirical.data.splits import load_data
from sharpdiv.empirical.ensembles.measuring import measure_ensemble
from sharpdiv.empirical.ensembles.named import imported, working_folder
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measured_images import corrupted_images
from sharpdiv.empirical.store import load_json
from tests.cli.calling import run

MODULE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def small():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

class Pixels(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(256, 10))

def needy(width):
    return nn.Linear(width, 3)

def broken():
    raise ValueError("no weights today")

network = small()
number = 3

def _set(seed, size):
    g = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(size, 4, generator=g), torch.randint(3, (size,), generator=g))

def test():
    return _set(1, 30)

class Train(TensorDataset):
    def __init__(self):
        super().__init__(*_set(2, 20).tensors)

def both():
    return Train(), test()

def three():
    return Train(), Train(), test()

class Missing(TensorDataset):
    def __getitem__(self, index):
        if index > 20:
            raise FileNotFoundError("photo 21 is gone")
        return super().__getitem__(index)

def gone():
    return Missing(*test().tensors)

def gone_in_a_worker():
    return DataLoader(gone(), batch_size=7, num_workers=1)

def batches_of_three():
    yield test()[:3]
    raise KeyError("label")

class Lost(list):
    def __iter__(self):
        return batches_of_three()

lost = Lost()

class Picky(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    def forward(self, x):
        assert len(x) < 5, "four at most"
        return super().forward(x)

loader = DataLoader(test(), batch_size=7)
batches = [test()[:10], test()[10:]]
shuffled = DataLoader(test(), batch_size=30, shuffle=True)
"""
QUICK = ["--sharpness", "one_step", "worst_l2", "--iterations", "2", "--replicates", "20", "--corrupted-samples", "5"]
HOW = MeasureConfig(sharpness=("one_step", "worst_l2"), iterations=2, replicates=20, corrupted_samples=5)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module and checkpoints, which nothing else knows of."""
    (tmp_path / "users_module.py").write_text(MODULE)
    (tmp_path / "users_broken.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    with working_folder():
        for name in ("small", "Pixels"):
            make = imported(f"users_module:{name}")
            for seed in range(3):
                torch.manual_seed(seed)
                torch.save(make().state_dict(), tmp_path / f"{name}{seed}.pt")
    yield tmp_path
    sys.modules.pop("users_module")


def checkpoints(name: str, count: int = 3) -> list[str]:
    return ["--model", f"users_module:{name}", "--checkpoints", *(f"{name}{i}.pt" for i in range(count))]


def expected(data: str) -> MeasuredEnsemble:
    """What the Python function gives for the same networks and data."""
    with working_folder():
        make, (train, test) = imported("users_module:small"), imported("users_module:both")()
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        models.append(make())
    return measure_ensemble(models, test.tensors, train=train.tensors if data == "both" else None, how=HOW)


@pytest.mark.parametrize("data", ["both", "test", "loader", "batches"])
def test_checkpoints_are_measured_as_by_the_function(
    place: Path, capsys: pytest.CaptureFixture[str], data: str
) -> None:
    before = list(sys.path)
    status, out, err = run(
        capsys, "measure", *checkpoints("small"), "--data", f"users_module:{data}", *QUICK, "--json", "-"
    )
    assert (status, err) == (0, "")
    assert sys.path == before
    found, reference = json.loads(out), expected(data).to_json()
    for name, value in reference["metrics"].items():
        assert found["metrics"][name] == pytest.approx(value, rel=1e-5), name  # batches of another size
    for name, values in reference["members"]["sharpness"].items():
        assert found["members"]["sharpness"][name] == pytest.approx(values, rel=1e-6)
    assert found["members"]["train_accuracy"] == reference["members"]["train_accuracy"]
    assert found["members"]["name"] == [f"small{i}.pt" for i in range(3)]
    assert found["provenance"]["factory"] == "users_module:small"


def test_the_folder_holds_predictions_and_result(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", "users_module:test", "--train-data", "users_module:Train")
    layers = ("--layers", "0", "2")
    status, table, err = run(capsys, "measure", *checkpoints("small"), *data, *QUICK, *layers, "--out", "found")
    assert (status, err) == (0, "")
    kept = MeasuredEnsemble.load(place / "found" / "predictions.npz")
    assert kept.to_json() == load_json(place / "found" / "result.json")
    assert kept.metrics == expected("both").metrics
    assert kept.sharpness("one_step") == expected("both").sharpness("one_step")
    assert set(kept.cka_by_layer) == {"0", "2"}
    for name, value in kept.numbers().items():
        assert f"\n{name} " in table, name
        assert value is not None or name.startswith("corrupted") or name in {"der", "eir", "eir_vote"}
    assert "- = not measured: corruptions are made of our data sets" in table
    assert "training data" not in table
    status, metrics, _ = run(capsys, "metrics", str(place / "found" / "predictions.npz"), "--json", "-")
    assert status == 0
    assert json.loads(metrics)["kl"] == kept.metric("kl")


def test_without_training_data_sharpness_is_not_measured(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, table, _ = run(capsys, "measure", *checkpoints("small"), "--data", "users_module:test", *QUICK)
    assert status == 0
    row = next(line for line in table.splitlines() if line.startswith("sharpness_one_step"))
    assert row.split() == ["sharpness_one_step", "-"]
    assert "sharpness and training accuracy need training data (--train-data)" in table


def test_our_images_are_normalized_and_corrupted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = ("--train-samples", "200", "--sharpness-samples", "50")
    status, out, err = run(capsys, "measure", *checkpoints("Pixels"), "--data", "digits", *split, *QUICK, "--json", "-")
    assert (status, err) == (0, "")
    found = json.loads(out)
    data = load_data("digits", 200)
    with working_folder():
        models = [imported("users_module:Pixels")() for _ in range(3)]
    for seed, model in enumerate(models):
        model.load_state_dict(torch.load(place / f"Pixels{seed}.pt", weights_only=True))
    names, images, labels = corrupted_images(RunConfig("sgd", train_samples=200), HOW)
    with torch.no_grad():
        probs = [model(data.normalize(data.test_images)).double().softmax(dim=1) for model in models]
        noisy = [model(data.normalize(images[3, 2])).double().softmax(dim=1) for model in models]
    assert found["metrics"]["nll_mean"] == pytest.approx(diversity(probs, data.test_labels)["nll_mean"], rel=1e-5)
    assert found["corrupted"][names[3]][2]["kl"] == pytest.approx(diversity(noisy, labels)["kl"], rel=1e-5)
    assert found["samples"] == {"test": 1597, "sharpness": 50}


MODEL = checkpoints("small")
DATA = ["--data", "users_module:both"]
REFUSED = {
    "nothing": ([], "measure needs the folder of at least one run, or --model, --checkpoints and --data"),
    "no data": (MODEL, "need --model, --checkpoints and --data"),
    "no checkpoints": (["--model", "users_module:small", *DATA], "need --model, --checkpoints and --data"),
    "runs and networks": (["runs/some", *MODEL, *DATA], "--model is about networks that are not ours"),
    "runs and data": (["runs/some", *DATA], "--data is about networks that are not ours"),
    "no module": (["--model", "nowhere:small", *MODEL[2:], *DATA], "nowhere cannot be imported (ModuleNotFoundError"),
    "broken module": (
        ["--model", "users_broken:small", *MODEL[2:], *DATA],
        "users_broken cannot be imported (ModuleNotFoundError: No module named 'nowhere_to_be_found')",
    ),
    "no such name": (["--model", "users_module:net", *MODEL[2:], *DATA], "users_module has no net"),
    "no reference": (["--model", "small", *MODEL[2:], *DATA], "expected package.module:name, got 'small'"),
    "a network itself": (
        ["--model", "users_module:network", *MODEL[2:], *DATA],
        "that makes a network, got Sequential",
    ),
    "a number": (["--model", "users_module:number", *MODEL[2:], *DATA], "that makes a network, got int"),
    "arguments": (["--model", "users_module:needy", *MODEL[2:], *DATA], "called without arguments (TypeError"),
    "it fails": (["--model", "users_module:broken", *MODEL[2:], *DATA], "(ValueError: no weights today)"),
    "another factory": (["--model", "users_module:Pixels", *MODEL[2:], *DATA], "small0.pt does not fit the network"),
    "one": ([*checkpoints("small", 1), *DATA], "at least 2 networks, got 1"),
    "no file": ([*MODEL, "none.pt", *DATA], "none.pt does not exist"),
    "unknown data": ([*MODEL, "--data", "imagenet"], "or package.module:name; got 'imagenet'"),
    "three parts": ([*MODEL, "--data", "users_module:three"], "a pair of training and test data, got 3"),
    "no data set": ([*MODEL, "--data", "users_module:number"], "must be a torch Dataset"),
    "data that fail": ([*MODEL, "--data", "users_module:broken"], "(ValueError: no weights today)"),
    "a sample that fails": ([*MODEL, "--data", "users_module:gone"], "line 42: FileNotFoundError: photo 21 is gone"),
    "a sample that fails in a process": (
        [*MODEL, "--data", "users_module:gone_in_a_worker"],
        "line 42: FileNotFoundError: photo 21 is gone",
    ),
    "a batch that fails": ([*MODEL, "--data", "users_module:lost"], "KeyError: 'label'"),
    "a network that fails": (["--model", "users_module:Picky", *MODEL[2:], *DATA], "four at most"),
    "shuffled": ([*MODEL, "--data", "users_module:shuffled"], "switch shuffling off"),
    "pair for training": (
        [*MODEL, "--data", "users_module:test", "--train-data", "users_module:both"],
        "users_module:both is a pair",
    ),
    "training twice": (
        [*MODEL, *DATA, "--train-data", "users_module:Train"],
        "--train-data does not go with users_module:both",
    ),
    "split of theirs": ([*MODEL, *DATA, "--split-seed", "1"], "--split-seed split a data set of ours"),
    "validation of theirs": ([*MODEL, *DATA, "--split", "validation"], "--split validation is about data sets of ours"),
    "no split of ours": ([*MODEL, "--data", "digits"], "digits has no test set of its own"),
    "training beside ours": (
        [*MODEL, "--data", "digits", "--train-data", "users_module:test"],
        "--train-data does not go with digits",
    ),
    "images": ([*MODEL, "--data", "digits", "--train-samples", "200", *QUICK], "small0.pt: does not take this data"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_one_line(place: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    arguments, message = REFUSED[case]
    status, out, err = run(capsys, "measure", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_error_of_ours_keeps_its_traceback(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the user's and no network of hers are in it."""
    monkeypatch.setattr("sharpdiv.cli.own.measure_ensemble", None)
    with pytest.raises(TypeError, match="not callable"):
        run(capsys, "measure", *MODEL, *DATA)


def test_a_member_that_diverged_exits_with_1(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.load("small1.pt", weights_only=True)
    state["0.weight"][0, 0] = torch.inf
    torch.save(state, "small1.pt")
    status, _, err = run(capsys, "measure", *MODEL, *DATA)
    assert status == 1
    assert "small1.pt: outputs are not finite" in err


def measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Two ensembles, the first of the initial networks themselves and the second of weights somewhat smaller."""
    for seed in range(3):
        state = torch.load(f"small{seed}.pt", weights_only=True)
        torch.save({key: 0.9 * value for key, value in state.items()}, f"shrunk{seed}.pt")
    for name in ("small", "shrunk"):
        files = [f"{name}{seed}.pt" for seed in range(3)]
        arguments = ("--model", "users_module:small", "--checkpoints", *files, *DATA, *QUICK, "--out", name)
        assert run(capsys, "measure", *arguments)[0] == 0


SAMPLES = ("--train-samples", "12", "--test-samples", "20")
INITIAL = ("--model", "users_module:small", "--initial", *(f"small{seed}.pt" for seed in range(3)))


@pytest.mark.long
@pytest.mark.slow  # draws a figure
def test_compare_puts_them_beside_their_prediction(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(capsys)
    options = (*INITIAL, "--rho", "0", "0.1", *DATA, *SAMPLES, "--out", "beside")
    status, out, err = run(capsys, "compare", "small", "shrunk/predictions.npz", *options, "--json", "-")
    assert (status, err) == (0, "")
    found = json.loads(out)
    ensembles = {
        0.0: MeasuredEnsemble.load("small/predictions.npz"),
        0.1: MeasuredEnsemble.load("shrunk/predictions.npz"),
    }
    with working_folder():
        make, (train, test) = imported("users_module:small"), imported("users_module:both")()
    models = [make() for _ in range(3)]
    for seed, model in enumerate(models):
        model.load_state_dict(torch.load(f"small{seed}.pt", weights_only=True))
    reference = compare_ensembles(
        models, ensembles, train.tensors, test.tensors, train_samples=12, test_samples=20, name="users_module:small"
    )
    assert found["points"] == reference.to_json()["points"]
    assert found["provenance"]["factory"] == "users_module:small"
    assert (place / "beside" / "lazy_comparison.png").stat().st_size > 10_000
    assert load_json(place / "beside" / "comparison.json") == found
    status, table, _ = run(capsys, "compare", "small", "shrunk", *options)
    assert status == 0
    assert "Predicted at k = " in table


def test_compare_refuses_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(capsys)
    for arguments, message in (
        (("small", "shrunk", "--model", "users_module:small", *DATA), "need --model, --initial, --rho and --data"),
        (
            ("small", "shrunk", *INITIAL, *DATA, "--rho", "0"),
            "--rho needs a value of its own for each of the 2 ensembles",
        ),
        (("small", "shrunk", *INITIAL, *DATA, "--rho", "0", "0"), "--rho needs a value of its own"),
        (("small", *INITIAL, *DATA, "--rho", "0"), "at least two values of rho"),
        (("small", "none", *INITIAL, *DATA, "--rho", "0", "0.1"), "none does not exist"),
        (
            ("small", "shrunk", *INITIAL, "--data", "users_module:test", "--rho", "0", "0.1"),
            "kernels are taken on training data",
        ),
        (("small", "shrunk", *INITIAL[:-1], *DATA, "--rho", "0", "0.1", *SAMPLES), "each of the 3 members, got 2"),
        (
            ("small", "shrunk", *INITIAL, *DATA, "--rho", "0", "0.1"),
            "the number of training samples must be from 1 to 20",
        ),
    ):
        status, out, err = run(capsys, "compare", *arguments)
        assert (status, out) == (2, ""), message
        assert message in err
        assert len(err.splitlines()) == 1
