"""What runs on a GPU, on a pretended one: the bits of the CPU, no tensors of two devices, few waits; planted faults are told."""

import pkgutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sharpdiv.checks.ascents.networks import DESCENT, Ascent, FittedNetwork, Regime, Sweep
from sharpdiv.checks.ascents.sweep import run_sweep
from sharpdiv.checks.kernels.alpha_sweep import run_dial
from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.dials import Dial, Network
from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.data.splits import TrainingImages
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.engines import workers
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import load_run_data, train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measure_member import _sharpness, _weight_norm
from sharpdiv.empirical.runs.measuring import measure_runs
from sharpdiv.empirical.runs.member import Member, new_member, train
from tests.pretend import DEVICE, DeviceError, Kind, pretended

CPU = torch.device("cpu")
BALANCE = RunConfig(
    "sharpbalance",
    0.1,
    train_samples=40,
    width=2,
    blocks=(1, 1),
    epochs=3,
    batch_size=10,
    seeds=(1, 2),
    augment="crop-flip",
)
SAM = replace(BALANCE, method="sam")
METHODS = {
    "sharpbalance": BALANCE,
    "sgd": BALANCE.start,
    "m-sam": replace(SAM, m=4, clip_norm=1.0),
    "sparse-asam": replace(SAM, adaptive=True, sparsity=0.5),
}
PLAIN: dict[str, Any] = {"method": "sgd", "rho": 0.0}
KINDS: tuple[Kind, ...] = ("cuda", "mps")


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are told "cuda" take the pretended device."""
    choose = workers.choose_device

    def pretending(name: str) -> torch.device:
        return DEVICE if name == "cuda" else choose(name)

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("sharpdiv") and vars(module).get("choose_device") is choose:
            monkeypatch.setattr(module, "choose_device", pretending)


def trained(config: RunConfig, device: torch.device, until: int = 3) -> Member:
    """A member at an epoch; of the samples three quarters are sharpness-aware where some are."""
    data = load_run_data(config)
    aware = torch.arange(40) % 4 < {"sgd": 0, "sam": 4, "sharpbalance": 3}[config.method]
    member = new_member(config, data, 1, device)
    train(member, config, data, until, aware)
    return member


def weights(member: Member) -> list[Tensor]:
    return [value.cpu() for value in member.model.state_dict().values()]


# ------------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", ["cuda", pytest.param("mps", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", METHODS)
def test_training_has_the_bits_of_the_cpu(method: str, kind: Kind) -> None:
    here = trained(METHODS[method], CPU)
    with pretended(kind):
        there = trained(METHODS[method], DEVICE)
        found = weights(there)
    assert there.losses == here.losses
    assert all(torch.equal(a, b) for a, b in zip(found, weights(here), strict=True))


@pytest.mark.slow
def test_training_waits_once_an_epoch() -> None:
    """Whatever waits besides does so before the first epoch."""
    for config in METHODS.values():
        waited: list[int] = []
        with pretended() as watch:
            data = load_run_data(config)
            aware = torch.arange(40) % 4 < {"sgd": 0, "sam": 4, "sharpbalance": 3}[config.method]
            member = new_member(config, data, 1, DEVICE)
            train(member, config, data, 3, aware, lambda _: waited.append(watch.waits.total()))  # noqa: B023 - called here
        assert [after - before for before, after in pairwise(waited)] == [1, 1], watch.waits


def step_of(config: RunConfig, aware: int) -> Callable[[], Tensor]:
    """A step on ten samples, of SharpBalance or, if none or all of them are aware, of SGD or SAM."""
    data = load_run_data(config)
    member, images = new_member(config, data, 1, DEVICE), TrainingImages(data, DEVICE, "none")
    index = torch.arange(10, device=DEVICE)
    batch, labels = images.batch(index, None), images.labels[index]
    member.model.train()
    return lambda: sharpbalance_step(
        member.model, member.optimizer, batch, labels, torch.arange(10) < aware, m=config.m
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_step_waits_for_nothing(method: str) -> None:
    for aware in (0, 6, 10):
        with pretended() as watch:
            step = step_of(METHODS[method], aware)
            watch.waits.clear()
            assert step().device == DEVICE
        assert not watch.waits
        assert watch.operations > 100


# ------------------------------------------------------------------------------------------- measuring, sweeps, comparison


HOW = MeasureConfig(
    sharpness=("one_step", "fisher_trace"),
    sharpness_samples=8,
    sharpness_batch=4,
    draws=2,
    trace_draws=2,
    iterations=2,
    restarts=1,
    corrupted_samples=1,
    feature_samples=20,
    replicates=5,
)
DIAL = Dial(
    "dial-tiny.json",
    (
        Network(head_only=True, alphas=(1.0,), optimizers=("sam",)),
        Network(width=4, norm="batch", alphas=(10.0,), optimizers=("sam",)),
    ),
    fractions=(2.0,),
    snapshots=(1,),
    members=2,
    rich_members=2,
    train_samples=12,
    test_samples=6,
)
SWEEP = Sweep(
    "ascents-tiny.json",
    (
        FittedNetwork("two-layer", "relu", 0.5, 20, (0.4,), (DESCENT, Ascent(0.1, 4)), (Regime(),), 2, 10),
        FittedNetwork("residual", "relu", 1.0, 10, (0.4,), (Ascent(0.3, 1),), (Regime(subtract_initial=True),), 2, 6),
    ),
)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_of_sharpness_has_the_bits_of_the_cpu(measure: str) -> None:
    config, how = replace(BALANCE, width=1, blocks=(1,), sparsity=0.5), replace(HOW, sharpness=(measure,))
    data, found = load_run_data(config), []
    for device in (CPU, DEVICE):
        with pretended("mps"):
            found.append(_sharpness(new_member(config, data, 1, device).model.eval(), data, how))
    assert {name: value.tolist() for name, value in found[0].items()} == {n: v.tolist() for n, v in found[1].items()}


def runs(folder: Path, device: str) -> list[dict[str, Any]]:
    """An ensemble that was trained with checkpoints, scored, exchanged and measured."""
    config = replace(BALANCE, epochs=2, switch_epoch=1, blocks=(1,))
    train_runs([config], folder, device=device, workers=1, checkpoint_seconds=0.0)
    return [record.to_json() for record in measure_runs([config], folder, how=HOW, device=device, workers=1)]


def dial(folder: Path, device: str) -> list[dict[str, Any]]:
    """The lazy sweep: kernels, predictions, training, and a network in float64."""
    return [run_dial(DIAL, folder, device=device, workers=1)]


def ascents(folder: Path, device: str) -> list[dict[str, Any]]:
    """The sweep over ascents."""
    return [run_sweep(SWEEP, folder, device=device, workers=1)]


def comparison(folder: Path, device: str) -> list[dict[str, Any]]:
    """Kernels of measured runs; those are trained on the CPU."""
    configs = [replace(SAM, epochs=1, switch_epoch=0, **options) for options in (PLAIN, {})]
    how = replace(HOW, sharpness=("one_step",))
    train_runs(configs, folder, workers=1)
    measure_runs(configs, folder, how=how, workers=1)
    paths = [run_folder(folder, config) for config in configs]
    return [compare_runs(paths, train_samples=10, test_samples=6, device=device).to_json()]


def without_provenance(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_provenance(part) for name, part in value.items() if name != "provenance"}
    return [without_provenance(part) for part in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize("kind", ["cuda", pytest.param("mps", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "job", [runs, *(pytest.param(job, marks=pytest.mark.long) for job in (dial, ascents, comparison))]
)
def test_what_is_found_is_the_same_on_the_device(
    job: Callable[[Path, str], list[dict[str, Any]]], kind: Kind, tmp_path: Path
) -> None:
    here = job(tmp_path / "here", "cpu")
    with pretended(kind) as watch:
        there = job(tmp_path / "there", "cuda")
    assert watch.operations > 1000
    assert without_provenance(there) == without_provenance(here)


# --------------------------------------------------------------------------------------------------------- planted faults


def left_on_the_cpu(make: Any) -> Any:
    def init(self: TrainingImages, data: Any, device: torch.device, augment: Any) -> None:
        make(self, data, device, augment)
        self._mean = data.mean

    return init


def drawn_there(_: Any) -> Any:
    def draw(self: TrainingImages, generator: torch.Generator) -> Tensor:
        return torch.randint(2, (len(self.labels), 3), generator=generator, device=self.device)

    return draw


def read_at_once(mean: Any) -> Any:
    def mean_loss(*args: Any) -> Tensor:
        found: Tensor = mean(*args)
        assert found.item() == found.item()
        return found

    return mean_loss


FAULTS: dict[str, tuple[str, Callable[[Any], Any], Kind, str]] = {
    "a tensor left on the CPU": (
        "sharpdiv.empirical.data.splits.TrainingImages.__init__",
        left_on_the_cpu,
        "cuda",
        "sub of tensors on two devices at splits.py",
    ),
    "a number read in a step": (
        "sharpdiv.empirical.optim.sharpbalance.mean_loss",
        read_at_once,
        "cuda",
        "waits: _local_scalar_dense",
    ),
    "a generator of the CPU for a draw on the device": (
        "sharpdiv.empirical.data.splits.TrainingImages.draw",
        drawn_there,
        "cuda",
        "random_ with a generator of another device|randint.* with a generator of another device",
    ),
    "float64 where there is none": (
        "sharpdiv.empirical.runs.measure_member.float64",
        lambda _: Tensor.double,
        "mps",
        "float64 on a device that has none at measure_member.py",
    ),
    "an index from the wrong device": (
        "sharpdiv.empirical.runs.member.batches_of_epoch",
        lambda cut: lambda order, size: cut(order.to(DEVICE), size),
        "cuda",
        "index of a tensor on the CPU by an index on the device at member.py",
    ),
    "a copy that does not wait where that is not safe": (
        "sharpdiv.empirical.runs.member.moved",
        lambda _: lambda tensor, device: tensor.to(device, non_blocking=True),
        "mps",
        "from memory that may be gone",
    ),
}
"""What is replaced and how, on which kind of device, and what is told."""


def watched(kind: Kind) -> None:
    """An epoch and a measurement that refuse what the device would, and a step that must not wait."""
    with pretended(kind) as watch:
        member = trained(BALANCE, DEVICE, until=1)
        _weight_norm(member.model)
        step = step_of(BALANCE, 6)
        watch.waits.clear()
        step()
        if kind == "cuda" and watch.waits:
            raise DeviceError(f"waits: {', '.join(watch.waits)}")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_told_where_no_fault_is_planted(kind: Kind) -> None:
    watched(kind)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_told(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, change, kind, told = FAULTS[fault]
    monkeypatch.setattr(target, change(pkgutil.resolve_name(target)))
    with pytest.raises(DeviceError, match=told):
        watched(kind)


# ----------------------------------------------------------------------------------------------------- what devices differ in


def test_products_are_rounded_as_asked_and_as_before_afterwards() -> None:
    convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, matrices.allow_tf32
    for tf32 in (False, True):
        with suppress(InputError), float32_products(tf32=tf32):
            assert convolutions.allow_tf32 == matrices.allow_tf32 == tf32
            raise InputError("whatever happens inside")
        assert (convolutions.allow_tf32, matrices.allow_tf32) == before


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_training_multiplies_as_its_configuration_says(
    precision: Any, tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def tell(*args: Any, **options: Any) -> Tensor:
        seen.append(torch.backends.cudnn.allow_tf32)
        return sharpbalance_step(*args, **options)

    monkeypatch.setattr(training, "sharpbalance_step", tell)
    trained(replace(BALANCE.start, precision=precision), CPU, until=1)
    assert seen == [tf32] * 4
