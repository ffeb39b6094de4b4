"""Loss along lines, where it is known by hand: a parabola for linear regression, a quartic between permuted networks."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.connectivity import lines
from sharpdiv.empirical.connectivity.lines import Barriers, LossLine, barriers, loss_along_line
from sharpdiv.empirical.errors import DivergenceError, InputError
from tests.empirical.networks import batch, mlp
from tests.laws import Mutation, law

LINES = "sharpdiv.empirical.connectivity.lines"
MEMBERS = "sharpdiv.empirical.connectivity.members.Members"
seeds = st.integers(0, 1000)
squares = nn.functional.mse_loss


def linear(weights: Tensor) -> dict[str, Tensor]:
    return {"weight": weights[None]}


@law(
    Mutation("the ends exchanged", f"{MEMBERS}.put", lambda f: lambda self, c: f(self, c[::-1])),
    Mutation("another parameter of the line", f"{MEMBERS}.put", lambda f: lambda self, c: f(self, [x * x for x in c])),
    Mutation(
        "batches count alike",
        "sharpdiv.empirical.connectivity.landscape.math.fsum",
        lambda f: lambda values: _alike(list(values)),
    ),
    examples=20,
    seed=seeds,
    size=st.integers(1, 9),
    points=st.integers(2, 9),
)
def test_the_loss_of_linear_regression_is_a_parabola(seed: int, size: int, points: int) -> None:
    """``L(t) = (1 - t) L(0) + t L(1) - t (1 - t) mean((x (w_b - w_a))^2)``, in which there is no barrier."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(10, 4, generator=generator).double(), torch.randn(10, 1, generator=generator).double()
    a, b = torch.randn(2, 4, generator=generator).double()
    data = [(x[:size], y[:size]), (x[size:], y[size:])]  # batches of different sizes
    model = nn.Linear(4, 1, bias=False).double()
    line = loss_along_line(model, (linear(a), linear(b)), data, loss=squares, points=points)
    ends = [(x @ w - y[:, 0]).square().mean().item() for w in (a, b)]
    t = np.linspace(0, 1, points)
    expected = (1 - t) * ends[0] + t * ends[1] - t * (1 - t) * (x @ (b - a)).square().mean().item()
    # double precision: sums of ten numbers of order one to a hundred
    np.testing.assert_allclose(line.loss, expected, rtol=1e-11, atol=1e-12)
    assert line.barrier == pytest.approx(0, abs=1e-12 * max(ends))
    assert line.distance == pytest.approx((b - a).norm().item(), rel=1e-12)
    assert (line.error, line.error_barrier) == (None, None)


def _alike(values: list[float]) -> float:
    sizes = np.array([1, 9]) if len(values) == 2 else np.ones(1)
    return float(np.sum(np.array(values) / sizes * sizes.mean()))


class Chain(nn.Module):
    """Two linear layers of two hidden units: ``sum_i v_i w_i x``."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.outer(self.inner(x))
        return found


def chain(v: list[float], w: list[float]) -> dict[str, Tensor]:
    return {
        "inner.weight": torch.tensor([w], dtype=torch.float64).T,
        "outer.weight": torch.tensor([v], dtype=torch.float64),
    }


numbers = st.floats(-3, 3)


@law(
    Mutation("the mean of the curve", f"{LINES}.barrier", lambda _: lambda t, values: float(values.mean())),
    Mutation("the largest loss", f"{LINES}.barrier", lambda _: lambda t, values: float(values.max())),
    Mutation("on a third of the line", f"{LINES}.barrier", lambda f: lambda t, values: f(t[:4], values[:4])),
    examples=20,
    v=st.tuples(numbers, numbers),
    w=st.tuples(numbers, numbers),
    offset=st.floats(0.1, 3),
)
def test_the_barrier_between_two_orders_of_the_hidden_units(
    v: tuple[float, float], w: tuple[float, float], offset: float
) -> None:
    """Half way the output is off by ``(v1 - v2)(w1 - w2) x / 2``, and both ends by a constant only, which the barrier takes off."""
    first, second = chain(list(v), list(w)), chain(list(v[::-1]), list(w[::-1]))
    x = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]], dtype=torch.float64)
    y = (v[0] * w[0] + v[1] * w[1]) * x + offset
    line = loss_along_line(Chain().double(), (first, second), (x, y), loss=squares, points=11)
    rise = x.square().mean().item() * ((v[0] - v[1]) * (w[0] - w[1])) ** 2
    t = line.t
    # double precision: outputs up to 2 (9 + 9) + 3, squared
    np.testing.assert_allclose(line.loss, offset**2 + 4 * (t * (1 - t)) ** 2 * rise, rtol=0, atol=1e-11)
    assert line.barrier == pytest.approx(rise / 4, abs=1e-11)


@law(
    Mutation(
        "from the first member on",
        f"{LINES}._symmetric",
        lambda f: lambda count, values: np.triu(f(count, values)),
    ),
    Mutation("pairs in another order", f"{LINES}._symmetric", lambda f: lambda count, values: f(count, values[::-1])),
    examples=4,
    seed=seeds,
)
def test_barriers_are_symmetric_and_those_of_the_lines(seed: int) -> None:
    """The other way along a line, and of batch norm recalibrated on other data than the loss is taken on."""
    states = [mlp(seed + place, torch.float64).state_dict() for place in range(3)]
    data, train = ((x.double(), y) for x, y in (batch(seed, 20), batch(seed + 1, 20)))
    model = mlp(9, torch.float64)
    found = barriers(model, states, data, train=train, points=5)
    for matrix in (found.loss, found.error, found.distance):
        assert matrix is not None
        assert (matrix == matrix.T).all()
        assert not matrix.diagonal().any()
    assert len(set(found.distance[np.triu_indices(3, 1)])) == 3
    for a in range(3):
        for b in range(3):
            line = loss_along_line(model, (states[a], states[b]), data, train=train, points=5)
            # double precision; the sums' terms come in another order
            assert line.barrier == pytest.approx(found.loss[a, b], abs=1e-12)
            assert line.distance == pytest.approx(found.distance[a, b], rel=1e-12)
            assert found.error is not None
            assert line.error_barrier == pytest.approx(found.error[a, b], abs=1e-12)


@law(
    Mutation(
        "from the ends' mean", f"{LINES}.barrier", lambda _: lambda t, v: max(0.0, (v - (v[0] + v[-1]) / 2).max())
    ),
    Mutation("from the lower end", f"{LINES}.barrier", lambda _: lambda t, v: v.max() - min(v[0], v[-1])),
    Mutation(
        "inner points alone", f"{LINES}.barrier", lambda _: lambda t, v: (v - v[0] - t * (v[-1] - v[0]))[1:].min()
    ),
    curve=st.lists(st.floats(-5, 5), min_size=2, max_size=9),
    slope=st.floats(-5, 5),
    shift=st.floats(-5, 5),
)
def test_a_barrier_does_not_see_straight_lines(curve: list[float], slope: float, shift: float) -> None:
    values, t = np.array(curve), np.linspace(0, 1, len(curve))
    found = lines.barrier(t, values)
    assert found >= 0
    assert lines.barrier(t, values + slope * t + shift) == pytest.approx(found, abs=1e-12)
    assert lines.barrier(t, slope * t + shift) == pytest.approx(0, abs=1e-12)
    bump = values[0] * (1 - t) + values[-1] * t + np.where((t > 0) & (t < 1), 2.0, 0.0)
    assert lines.barrier(t, bump) == pytest.approx(2.0 if len(curve) > 2 else 0.0, abs=1e-12)


def test_the_error_is_the_share_of_wrong_predictions() -> None:
    """A threshold that moves over four samples."""
    model = nn.Linear(1, 2)
    ends = tuple({"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.tensor([at, 0.0])} for at in (0.5, 4.5))
    data = (torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.ones(4, dtype=torch.int64))
    line = loss_along_line(model, (ends[0], ends[1]), data, points=5)
    assert line.error is not None
    assert line.error.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert line.error_barrier == 0


def test_results_are_equal_by_value_and_kept_to_six_digits() -> None:
    line = LossLine(np.array([0.0, 1.0]), np.array([1.0, 2.0]), None, 3.0)
    assert line == LossLine(np.array([0.0, 1.0]), np.array([1.0, 2.0]), None, 3.0)
    assert line != LossLine(np.array([0.0, 1.0]), np.array([1.0, 3.0]), None, 3.0)
    matrix = np.array([[0.0, 1 / 3], [1 / 3, 0.0]])
    found = Barriers.from_json(Barriers(matrix, None, 2 * matrix).to_json())
    assert found.of_pairs("loss") == [0.333333]
    assert found.of_pairs("error") == []


def test_losses_that_are_not_finite_are_refused_by_their_place() -> None:
    def loss(outputs: Tensor, _: Any) -> Tensor:
        return (outputs - 1).log().sum()

    ends = (linear(torch.tensor([2.0])), linear(torch.tensor([0.0])))
    data = (torch.ones(1, 1), torch.ones(1, 1))
    with pytest.raises(DivergenceError, match=r"the loss is not finite at t = 0.5 between member 1 and member 2"):
        loss_along_line(nn.Linear(1, 1, bias=False), ends, data, loss=loss, points=5)


def test_numbers_that_do_not_fit_are_refused() -> None:
    model, state, data = nn.Linear(1, 1, bias=False), linear(torch.ones(1)), (torch.ones(1, 1), torch.ones(1, 1))
    with pytest.raises(InputError, match="points must be at least 2, for both ends, got 1"):
        loss_along_line(model, (state, state), data, loss=squares, points=1)
    with pytest.raises(InputError, match="at least 2, got 1"):
        barriers(model, [state], data, loss=squares)
