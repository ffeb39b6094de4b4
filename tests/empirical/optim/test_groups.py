"""rho and adaptive as options of parameter groups: where they come from, what they do, how they are kept."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim import ascent
from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.networks import Mlp, batch, mlp, state
from tests.laws import Mutation, law


def grouped(model: Mlp, first: dict[str, Any], **options: Any) -> SAM:
    """SAM whose first group is the first layer, with options of its own."""
    rest = [*model.norm.parameters(), *model.last.parameters()]
    groups = [{"params": list(model.first.parameters()), **first}, {"params": rest}]
    return SAM(groups, torch.optim.SGD, **{"rho": 0.1, "lr": 0.1, "momentum": 0.9, **options})


def store_gradients(model: nn.Module, seed: int) -> None:
    inputs, targets = batch(seed)
    model.zero_grad()
    nn.functional.cross_entropy(model(inputs.to(next(model.parameters()))), targets).backward()


def moved(model: nn.Module, optimizer: SAM) -> list[Tensor]:
    before = [p.detach().clone() for p in model.parameters()]
    with optimizer.perturbed():
        return [(p - b).detach() for p, b in zip(model.parameters(), before, strict=True)]


def by_plain_loops(optimizer: SAM) -> list[Tensor]:
    """The ascent of the best-known PyTorch SAM: one norm, each group's rho."""
    square = 0.0
    for group in optimizer.param_groups:
        for p in group["params"]:
            scale = p.detach().abs() if group["adaptive"] else 1.0
            square += float((scale * p.grad).square().sum())
    result = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            scale = p.detach().square() if group["adaptive"] else 1.0
            result.append(scale * p.grad * group["rho"] / square**0.5)
    return result


def alone(f: Any) -> Any:
    def by_group(groups: list[dict[str, Any]], normalize: bool) -> tuple[list[Tensor], list[Tensor]]:
        parts = [f([group], normalize) for group in groups]
        return [p for weights, _ in parts for p in weights], [e for _, steps in parts for e in steps]

    return by_group


@law(
    Mutation("a norm for each group", "sharpdiv.empirical.optim.sam.ascent", alone),
    Mutation(
        "the first group's rho",
        "sharpdiv.empirical.optim.ascent._signed_rho",
        lambda f: lambda group: 0.1,
    ),
    Mutation(
        "adaptive everywhere",
        "sharpdiv.empirical.optim.sam.ascent",
        lambda f: lambda groups, normalize: f([{**g, "adaptive": True} for g in groups], normalize),
    ),
    examples=15,
    seed=st.integers(0, 1000),
    rho=st.sampled_from([0.02, 0.5, 2]),
    adaptive=st.booleans(),
)
def test_one_norm_and_each_groups_own_rho(seed: int, rho: float, adaptive: bool) -> None:
    model = mlp(seed, torch.float64)
    optimizer = grouped(model, {"rho": rho, "adaptive": adaptive})
    store_gradients(model, seed)
    for ours, theirs in zip(moved(model, optimizer), by_plain_loops(optimizer), strict=True):
        assert ours.numpy() == pytest.approx(theirs.numpy(), rel=1e-9, abs=1e-12)  # w + e - w in float64


def test_groups_show_the_constructors_values_unless_they_have_their_own() -> None:
    optimizer = grouped(mlp(0), {"rho": 0.3}, adaptive=True)
    assert [(g["rho"], g["adaptive"]) for g in optimizer.param_groups] == [(0.3, True), (0.1, True)]
    assert optimizer.base.param_groups is optimizer.param_groups
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "rho": 0.7})
    assert [g["rho"] for g in optimizer.base.param_groups] == [0.3, 0.1, 0.1, 0.7]


def test_named_parameters_are_taken() -> None:
    model = mlp(0)
    optimizer = SAM(model.named_parameters(), torch.optim.SGD, 0.1, lr=0.1)
    assert optimizer.param_groups[0]["param_names"][0] == "first.weight"


def test_a_schedule_of_rho_acts() -> None:
    model = mlp(0, torch.float64)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1)
    store_gradients(model, 0)
    for rho in (0.1, 0.4, 0.0):
        optimizer.param_groups[0]["rho"] = rho
        assert optimizer.rho == rho
        assert float(torch.cat([e.flatten() for e in moved(model, optimizer)]).norm()) == pytest.approx(rho, rel=1e-6)


def test_a_group_at_rest_counts_in_the_norm() -> None:
    model = mlp(0, torch.float64)
    optimizer = grouped(model, {"rho": 0.0})
    store_gradients(model, 0)
    found = moved(model, optimizer)
    assert not any(e.any() for e in found[:2])
    assert found[-1].numpy() == pytest.approx(by_plain_loops(optimizer)[-1].numpy(), rel=1e-9)


def test_rho_of_groups_that_differ_is_no_number() -> None:
    assert grouped(mlp(0), {}).rho == 0.1
    with pytest.raises(InputError, match=r"differ in rho \(0.2, 0.1\)"):
        _ = grouped(mlp(0), {"rho": 0.2}).rho


def train(model: nn.Module, optimizer: SAM, seed: int) -> None:
    inputs, targets = batch(seed)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    optimizer.step(closure)


def test_a_saved_state_brings_its_rho() -> None:
    model = mlp(0)
    optimizer = grouped(model, {"rho": 0.4, "adaptive": True})
    train(model, optimizer, 0)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twin = copy.deepcopy(model)
    other = grouped(twin, {})
    other.load_state_dict(torch.load(file, weights_only=True))
    assert [(g["rho"], g["adaptive"]) for g in other.param_groups] == [(0.4, True), (0.1, False)]
    assert other.param_groups is other.base.param_groups
    for network, one in ((model, optimizer), (twin, other)):
        train(network, one, 1)
    assert all(torch.equal(a, b) for a, b in zip(state(model), state(twin), strict=True))


def test_a_state_without_rho_leaves_the_constructors() -> None:
    """That of an earlier version, or of SGD alone."""
    plain = torch.optim.SGD(mlp(0).parameters(), lr=0.3)
    optimizer = SAM(mlp(0).parameters(), torch.optim.SGD, 0.2, adaptive=True, lr=0.1)
    optimizer.load_state_dict(plain.state_dict())
    (group,) = optimizer.param_groups
    assert (group["lr"], group["rho"], group["adaptive"]) == (0.3, 0.2, True)


def test_pickles_and_copies_keep_groups() -> None:
    optimizer = grouped(mlp(0), {"rho": 0.4}, clip_norm=1.0)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):  # noqa: S301 - our own
        assert [g["rho"] for g in twin.param_groups] == [0.4, 0.1]
        assert (twin.normalize, twin.clip_norm, twin.model) == (True, 1.0, None)
        assert twin.param_groups is twin.base.param_groups
        assert twin.state is twin.base.state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": -1.0}, "non-negative"),
        ({"rho": float("inf")}, "finite"),
        ({"rho": True}, "got True"),
        ({"rho": "0.1"}, "got '0.1'"),
        ({"rho": torch.tensor(0.1)}, "got tensor"),
        ({"normalize": False}, "give it to SAM"),
        ({"clip_norm": 1.0}, "give it to SAM"),
    ],
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grouped(mlp(0), options)
    model = mlp(0)
    optimizer = grouped(model, {})
    store_gradients(model, 0)
    optimizer.param_groups[1].update(options)  # later, as schedules do
    with pytest.raises(InputError, match=message), optimizer.perturbed():
        pass


def test_a_copy_freezes_its_own_model() -> None:
    model = mlp(0)
    twin, optimizer = copy.deepcopy((model, SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1, model=model)))
    assert optimizer.model is twin


def test_adaptive_groups_need_the_norm() -> None:
    with pytest.raises(InputError, match="normalize=True"):
        grouped(mlp(0), {"adaptive": True}, normalize=False)
    assert ascent.ascent([], normalize=True) == ([], [])
