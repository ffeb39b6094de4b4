"""The lazy-to-rich dial: predictions are those of the trained members where they must be, and a stopped dial goes on."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sharpdiv.checks.kernels import alpha_members
from sharpdiv.checks.kernels.alpha_curves import curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.alpha_sweep import run_dial
from sharpdiv.checks.kernels.dials import LIMIT, Dial, Network
from sharpdiv.empirical.store import load_tensors
from tests.laws import Mutation, law

SMALL = Dial(
    "small.json",
    (Network(width=2, head_only=True, alphas=(10.0,), optimizers=("sam", "blocks", "normalized")),),
    fractions=(0.0, 1.5),
    snapshots=(1, 3),
    members=2,
    rich_members=3,
    train_samples=24,
    test_samples=10,
)
QUANTITIES = ("diversity", "member_error", "ensemble_error", "eir", "loss")


def worst(result: dict[str, Any]) -> float:
    """Largest relative difference of measurement and prediction in all but the sharpness."""
    errors = [
        np.abs(np.array(found["relative_error"][name], dtype=float)).max()
        for network in result["networks"]
        for optimizers in network["measured"].values()
        for found in optimizers.values()
        for name in QUANTITIES
    ]
    return float(max(errors))


OTHER_RATE = Mutation(
    "trained at another rate",
    "sharpdiv.checks.kernels.alpha_members.train_lazy",
    lambda f: lambda *a, **k: f(*a, **{**k, "learning_rate": 0.01}),
)
ALL_TRAINED = Mutation(
    "blocks trained on everything",
    "sharpdiv.checks.kernels.alpha_members.LazyProblem",
    lambda f: lambda train, labels, test, own: f(train, labels, test, torch.ones_like(own)),
)
NOT_NORMALIZED = Mutation(
    "normalized SAM trained without its norm",
    "sharpdiv.checks.kernels.alpha_members.train_lazy",
    lambda f: lambda *a, **k: f(*a, **{**k, "normalize": False}),
)
OTHER_IMAGES = Mutation(
    "kernels of other images",
    "sharpdiv.checks.kernels.alpha_members.tangent_kernel",
    lambda f: lambda model, train, test: f(model, train.flip(0), test),
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dial")


@pytest.mark.long
@pytest.mark.slow
@law(OTHER_RATE, ALL_TRAINED, NOT_NORMALIZED, OTHER_IMAGES)
def test_a_trained_last_layer_is_predicted_to_rounding() -> None:
    # Some tens of float64 operations on each number: 1e-10 leaves three digits for their accumulation.
    with tempfile.TemporaryDirectory() as name:
        assert worst(run_dial(SMALL, Path(name), workers=1)) < 1e-10


@pytest.mark.long
def test_a_network_is_predicted_better_the_larger_alpha(folder: Path) -> None:
    network = Network(width=2, activation="gelu", alphas=(3.0, 100.0), optimizers=("sam",))
    (found,) = run_dial(replace(SMALL, networks=(network,)), folder, workers=1)["networks"]
    near, far = (np.nanmax(found["measured"][alpha]["sam"]["distance"]) for alpha in ("100", "3"))
    # A smooth network's error falls like 1 / alpha, here to a 33rd; float32, alpha times its rounding, may add a few 1e-4.
    assert near < 0.1 * far
    assert near < 0.01


@pytest.mark.slow
def test_a_stopped_dial_goes_on_to_the_same_numbers(folder: Path) -> None:
    first = run_dial(SMALL, folder, workers=1)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    removed = next(path for path in kept if path.name == "trained-1-10.safetensors")
    removed.unlink()
    assert run_dial(SMALL, folder, workers=1) == first
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path != removed)


@pytest.mark.long
@pytest.mark.slow
def test_what_diverges_is_null_and_the_rest_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first step 190 times too long raises every member's loss at once; how far it then goes depends on rounding."""
    monkeypatch.setattr(alpha_members, "RATE", 1.9)
    monkeypatch.setattr("sharpdiv.empirical.lazy.training._DIVERGED", 3.0)
    wild = replace(
        SMALL,
        networks=(Network(width=2, alphas=(10.0,), optimizers=("sam",)),),
        fractions=(0.0, 100.0),
        snapshots=(1, 60),
        members=3,
    )
    (found,) = run_dial(wild, folder, workers=1)["networks"]
    values = found["measured"]["10"]["sam"]["loss"]
    assert all(None not in member[0] and member[1] == [None, None] for member in values)


def test_more_members_where_training_is_rich_and_the_same_first_ones() -> None:
    assert list(SMALL.seeds(1.0)) == [0, 1, 2]
    assert list(SMALL.seeds(10.0)) == [0, 1]
    assert max(Dial("x", ()).fractions) == pytest.approx(0.95 * LIMIT)


def test_the_stored_products_give_the_diversity_of_the_predictions(folder: Path) -> None:
    result = run_dial(SMALL, folder, workers=1)
    found = DialNetwork.from_json(result["networks"][0], result["dial"])
    files = sorted(folder.rglob("trained-*.safetensors"))
    predictions = np.stack([load_tensors(file)[0]["sam.1.predictions"].numpy() for file in files])
    expected = predictions.var(axis=0, ddof=1).sum(axis=2).mean(axis=1)
    measured = curves(found, "sam", 10.0).values["diversity"][0, 1]
    assert measured == pytest.approx(
        expected, rel=1e-3
    )  # products are stored with five digits, and D is their difference
