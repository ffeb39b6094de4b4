"""Weighted sums of members: every weight once, the members themselves to the bit, and the network as it was afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.connectivity.landscape import Landscape
from sharpdiv.empirical.connectivity.lines import barriers, loss_along_line
from sharpdiv.empirical.connectivity.members import Members
from sharpdiv.empirical.connectivity.planes import loss_on_plane
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.models import ResNet
from tests.empirical.curvature.test_untouched import Graph, Listed, StopError, everything, graphs
from tests.empirical.networks import batch, mlp
from tests.laws import Mutation, law, types_unchecked

BATCH = batch(0, 6, (4,))
CrossEntropy = nn.functional.cross_entropy
with_norm = {**graphs, "row": st.lists(st.integers(0, 6), max_size=3).map(lambda row: [*row, 6])}
"""Graphs with a batch norm that runs."""


def states_of(make: Callable[[int], nn.Module], count: int = 3) -> list[dict[str, Tensor]]:
    return [make(seed).state_dict() for seed in range(1, count + 1)]


@law(
    Mutation(
        "a member alone is rounded",
        "sharpdiv.empirical.connectivity.members.Members.put",
        lambda f: lambda s, c: f(s, [x + 1e-7 for x in c]),
    ),
    Mutation(
        "frozen weights stay",
        "sharpdiv.empirical.connectivity.members._parameters",
        lambda f: lambda model: {p: names for p, names in f(model).items() if p.requires_grad},
    ),
    examples=12,
    **graphs,
)
def test_a_member_alone_is_that_member_to_the_bit(seed: int, row: list[int], beside: bool, tied: bool) -> None:
    """Tied weights, recurrent and parametrized layers, frozen parameters; running statistics are its own where no data is given."""

    def make(seed: int) -> Graph:
        graph = Graph(seed, row, beside, tied)
        graph.head.requires_grad_(False)
        return graph

    model, others = make(seed), [make(seed + 1), make(seed + 2)]
    members = Members(model, [other.state_dict() for other in others])
    for place, other in enumerate(others):
        with members.held():
            members.put([float(at == place) for at in range(2)])
            expected = other.eval()(BATCH[0])
            assert torch.equal(model(BATCH[0]), expected)


@law(
    Mutation("weights left", "sharpdiv.empirical.connectivity.members.surely", lambda _: lambda restore: None),
    Mutation("buffers left", "sharpdiv.empirical.curvature.untouched.surely", lambda _: lambda restore: None),
    examples=8,
    **with_norm,
)
def test_the_network_is_afterwards_what_it_was(seed: int, row: list[int], beside: bool, tied: bool) -> None:
    """Its own state dict among the members, which is the network's own memory."""
    model = Graph(seed, row, beside, tied)
    model.head.eval()  # a mixed mode
    states = [model.state_dict(), *(Graph(seed + k, row, beside, tied).state_dict() for k in (1, 2))]
    before = everything(model)
    first = loss_on_plane(model, states, BATCH, train=BATCH, points=2)
    assert everything(model) == before
    assert loss_on_plane(model, states, BATCH, train=BATCH, points=2) == first
    barriers(model, states, BATCH, train=BATCH, points=3)
    assert everything(model) == before


@law(
    Mutation("weights left", "sharpdiv.empirical.connectivity.members.surely", lambda _: lambda restore: None),
    examples=8,
    **with_norm,
    calls=st.integers(0, 4),
    error=st.sampled_from([StopError, KeyboardInterrupt, RuntimeError]),
)
def test_an_exception_on_the_way_changes_nothing(
    seed: int, row: list[int], beside: bool, tied: bool, calls: int, error: type[BaseException]
) -> None:
    model = Graph(seed, row, beside, tied)
    states = [Graph(seed + k, row, beside, tied).state_dict() for k in (1, 2)]
    before, left = everything(model), calls

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        return CrossEntropy(outputs, targets)

    with pytest.raises(error):
        loss_along_line(model, (states[0], states[1]), BATCH, train=BATCH, loss=loss, points=6)
    assert everything(model) == before


def test_a_weight_in_a_list_of_the_network_is_moved_too() -> None:
    model = Listed()
    states = ({"weight": torch.zeros(4, 3)}, {"weight": torch.ones(4, 3)})
    inputs = torch.ones(1, 4)
    line = loss_along_line(model, states, (inputs, inputs), loss=lambda outputs, _: outputs.sum(), points=3)
    assert line.loss.tolist() == [0, 6, 12]


def test_half_precision_is_summed_in_single() -> None:
    model = nn.Linear(1, 1, bias=False).bfloat16()
    states = [{"weight": torch.full((1, 1), value, dtype=torch.bfloat16)} for value in (256.0, 258.0, 260.0)]
    members = Members(model, states)
    with members.held():
        members.put([1 / 3, 1 / 3, 1 / 3])
        assert model.weight.item() == 258  # in bfloat16 257 is no number, and thirds are 85.5, 86 and 86.5
    assert model.weight.dtype == torch.bfloat16


def test_state_dicts_of_another_precision_or_prefix_are_taken() -> None:
    states = [{"module.weight": torch.tensor([[value]], dtype=torch.float64)} for value in (1.0, 2.0)]
    members = Members(nn.Linear(1, 1, bias=False), states)
    assert [members.flat(place).tolist() for place in range(2)] == [[1], [2]]


class Masked(nn.Module):
    """A buffer that is no statistic."""

    mask: Tensor

    def __init__(self, mask: float) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mask", torch.full((4,), mask))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x * self.mask)
        return found


def test_a_mask_that_all_members_share_is_theirs_and_one_that_differs_is_refused() -> None:
    model, first, second = Masked(5.0), Masked(2.0), Masked(2.0)
    line = loss_along_line(model, (first.state_dict(), second.state_dict()), BATCH, points=2)
    assert line.loss[0] == pytest.approx(CrossEntropy(first(BATCH[0]), BATCH[1]).item(), rel=1e-6)
    assert model.mask.tolist() == [5] * 4
    with pytest.raises(InputError, match="mask differs between member 1 and member 2, and there is nothing between"):
        Members(model, [first.state_dict(), model.state_dict()])


def test_sparse_networks_of_other_masks_are_refused() -> None:
    torch.manual_seed(0)
    networks = [ResNet(width=3, blocks=(1,), channels=1, classes=4, sparsity=0.5) for _ in range(2)]
    with pytest.raises(InputError, match=r"mask differs between member 1 and member 2"):
        Members(networks[0], [network.state_dict() for network in networks])


def _changed(state: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**state, **{name.replace("__", "."): value for name, value in values.items()}}


def test_networks_that_do_not_fit_are_refused_in_one_line() -> None:
    model, good = mlp(0), mlp(1).state_dict()
    cases = {
        "member 2 does not fit the network: it lacks last.bias": {n: v for n, v in good.items() if n != "last.bias"},
        "member 2 does not fit the network: it has other, which the network has not": _changed(
            good, other=torch.ones(1)
        ),
        "member 2 does not fit the network: last.bias has shape (2,), the network's (3,)": _changed(
            good, last__bias=torch.ones(2)
        ),
    }
    for message, state in cases.items():
        with pytest.raises(InputError) as refused:
            Members(model, [good, state])
        assert str(refused.value) == message
    with (
        types_unchecked(),
        pytest.raises(InputError, match=r"^member 2 must be a state dict, got Mlp: pass model.state_dict\(\)$"),
    ):
        Members(model, [good, mlp(2)])  # type: ignore[list-item]
    lazy = nn.LazyLinear(3).state_dict()
    with pytest.raises(InputError, match=r"^member 1 has no weight yet: run its network on a batch first$"):
        Members(nn.Linear(4, 3), [lazy, lazy])
    with pytest.raises(DivergenceError, match="member 2 has weights that are not finite"):
        Members(model, [good, _changed(good, last__bias=torch.full((3,), torch.inf))])


def test_tied_weights_that_come_apart_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    state = {"0.weight": torch.eye(2), "1.weight": torch.zeros(2, 2)}
    with pytest.raises(InputError, match=r"0.weight and 1.weight are one weight in the network, and two in member 1"):
        Members(model, [state, model.state_dict()])
    diverged = {name: torch.full((2, 2), torch.nan) for name in state}
    with pytest.raises(DivergenceError, match="member 1 has weights that are not finite"):
        Members(model, [diverged, model.state_dict()])


def test_networks_that_have_no_weights_yet_are_refused() -> None:
    model = nn.LazyLinear(3)
    with pytest.raises(InputError, match="the network has no weight yet: run it on a batch first"):
        Members(model, [nn.Linear(4, 3).state_dict()])


def test_statistics_between_members_need_training_data() -> None:
    """Where they differ: equal ones, frozen say, are those of all members."""
    model, states = mlp(0), [mlp(1).state_dict(), mlp(2).state_dict()]
    data = batch(3)
    assert Members(model, states).same_statistics
    with torch.no_grad():
        states[0]["norm.running_mean"] += 2
        states[1]["norm.running_mean"] += 2
        kept = loss_along_line(model, (states[0], states[1]), data, points=2)
        moved = mlp(1)
        moved.load_state_dict(states[0])
        assert kept.loss[0] == pytest.approx(CrossEntropy(moved.eval()(data[0]), data[1]).item(), rel=1e-6)
        states[1]["norm.running_mean"] += 1
    with pytest.raises(
        InputError, match=r"members differ in the running statistics of batch norm.*give the training data"
    ):
        Landscape(model, states, data, None, CrossEntropy)
    assert loss_along_line(model, (states[0], states[1]), data, train=data, points=2).loss.shape == (2,)


def test_data_that_change_or_end_are_refused() -> None:
    model, states = nn.Linear(4, 3), states_of(lambda seed: nn.Linear(4, 3), 2)
    with pytest.raises(InputError, match="the test data is read again"):
        loss_along_line(model, (states[0], states[1]), iter([BATCH]))
    shuffled = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*batch(0, 40, (4,))), 20, shuffle=True)
    with pytest.raises(InputError, match="switch shuffling off"):
        loss_along_line(model, (states[0], states[1]), shuffled)
