"""The plane through three members: its coordinates are those of the weights, and the loss on it is that of the network there."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.connectivity.lines import loss_along_line
from sharpdiv.empirical.connectivity.planes import LossPlane, loss_on_plane, plane_basis
from sharpdiv.empirical.errors import DivergenceError, InputError
from tests.empirical.networks import batch, mlp
from tests.laws import Mutation, law

PLANES = "sharpdiv.empirical.connectivity.planes"
seeds = st.integers(0, 1000)
squares = nn.functional.mse_loss


@law(
    Mutation("axes not orthogonal", f"{PLANES}.np.linalg.norm", lambda f: lambda v: 1.001 * f(v)),
    Mutation(
        "barycentric coordinates",
        f"{PLANES}.Basis.coefficients",
        lambda _: lambda self, x, y: (1 - x - y, x, y),
    ),
    Mutation(
        "the third member above the first",
        f"{PLANES}.Basis.coefficients",
        lambda f: lambda self, x, y: f(self, x + self.members[2, 0] * y, y),
    ),
    seed=seeds,
    weights=st.integers(2, 30),
    scale=st.floats(1e-3, 1e3),
    flat=st.floats(1e-4, 1),
)
def test_coordinates_reproduce_the_members(seed: int, weights: int, scale: float, flat: float) -> None:
    """Orthonormal axes, also where the triangle is flat; distances on the plane are those of the weights."""
    generator = np.random.default_rng(seed)
    members = scale * generator.normal(size=(3, weights))
    members[2] = members[0] + 0.3 * (members[1] - members[0]) + flat * (members[2] - members[0])
    basis = plane_basis(list(members))
    # double precision; rounding of weights relative to the height of the triangle, at least 1e-4 of its base
    np.testing.assert_allclose(basis.axes @ basis.axes.T, np.eye(2), rtol=0, atol=1e-11)
    np.testing.assert_allclose(members[0] + basis.members @ basis.axes, members, rtol=0, atol=1e-11 * scale)
    for place, (x, y) in enumerate(basis.members.tolist()):
        assert basis.coefficients(x, y) == pytest.approx(np.eye(3)[place], abs=1e-11)
    x, y = (3 * scale * generator.normal(size=2)).tolist()
    point = members[0] + x * basis.axes[0] + y * basis.axes[1]
    # factors as large as the flat triangle asks for
    np.testing.assert_allclose(np.array(basis.coefficients(x, y)) @ members, point, rtol=0, atol=1e-6 * scale)


@law(
    Mutation("rows for columns", f"{PLANES}._axis", lambda f: lambda m, points, margin: f(m, points, margin)[::-1]),
    Mutation("no margin", f"{PLANES}._axis", lambda f: lambda m, points, margin: f(m, points, 0.0)),
    Mutation(
        "the first axis alone",
        f"{PLANES}.Basis.coefficients",
        lambda f: lambda self, x, y: f(self, x, 0.0),
    ),
    examples=10,
    seed=seeds,
    margin=st.sampled_from([0.1, 0.5]),
)
def test_the_loss_of_linear_regression_on_a_plane_is_known(seed: int, margin: float) -> None:
    """Predictions are linear in the coordinates."""
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.randn(10, width, generator=generator).double() for width in (5, 1))
    weights = torch.randn(3, 5, generator=generator).double()
    model = nn.Linear(5, 1, bias=False).double()
    states = [{"weight": each[None]} for each in weights]
    plane = loss_on_plane(model, states, (inputs, targets), loss=squares, points=4, margin=margin)
    basis = plane_basis(list(weights.numpy()))
    low, high = plane.members.min(axis=0), plane.members.max(axis=0)
    for axis, column in ((plane.x, 0), (plane.y, 1)):
        room = margin * (high[column] - low[column])
        np.testing.assert_allclose(axis, np.linspace(low[column] - room, high[column] + room, 4), rtol=1e-12)
    for row, y in enumerate(plane.y):
        for column, x in enumerate(plane.x):
            at = weights[0].numpy() + x * basis.axes[0] + y * basis.axes[1]
            expected = np.square(inputs.numpy() @ at - targets[:, 0].numpy()).mean()
            # double precision, divided by the height of a random triangle
            assert plane.loss[row, column] == pytest.approx(expected, rel=1e-8)
    own = (inputs @ weights.T - targets).square().mean(dim=0).numpy()
    np.testing.assert_allclose(plane.member_loss, own, rtol=1e-11)
    assert plane.error is None


def test_an_edge_of_the_plane_is_the_line_between_two_members() -> None:
    """With batch norm, whose statistics are taken anew on both."""
    states = [mlp(seed, torch.float64).state_dict() for seed in (1, 2, 3)]
    data, train = ((x.double(), y) for x, y in (batch(4), batch(5, 30)))
    model = mlp(0, torch.float64)
    plane = loss_on_plane(model, states, data, train=train, points=3, margin=0.0)
    line = loss_along_line(model, (states[0], states[1]), data, train=train, points=3)
    assert 0 < plane.members[2, 0] < plane.members[1, 0]  # above the edge, which is all of the lowest row
    np.testing.assert_allclose(plane.loss[0], line.loss, rtol=1e-10)  # double precision, through three layers
    np.testing.assert_allclose(plane.member_loss[:2], line.loss[[0, -1]], rtol=1e-12)
    assert line.error is not None
    assert plane.member_error is not None
    assert plane.member_error[:2].tolist() == line.error[[0, -1]].tolist()


def test_planes_are_kept_to_six_digits() -> None:
    states = [mlp(seed).state_dict() for seed in (1, 2, 3)]
    plane = loss_on_plane(mlp(0), states, batch(4), train=batch(4), points=2)
    again = LossPlane.from_json(plane.to_json())
    np.testing.assert_allclose(again.loss, plane.loss, rtol=5e-6)
    assert LossPlane.from_json(again.to_json()) == again


def test_members_on_a_line_are_refused() -> None:
    first, second = np.zeros(3), np.ones(3)
    for third in (first, second, 3 * second):
        with pytest.raises(InputError, match="lie on one line"):
            plane_basis([first, second, third])
    with pytest.raises(InputError, match="lie on one line"):
        plane_basis([first, first, second])
    with pytest.raises(InputError, match="3 members, got 2"):
        plane_basis([first, second])


def test_numbers_that_do_not_fit_are_refused() -> None:
    states, data = [{"weight": torch.eye(2)[[place % 2]] * place} for place in range(4)], (torch.eye(2), torch.eye(2))
    model = nn.Linear(2, 1, bias=False)
    with pytest.raises(InputError, match="3 members, got 4"):
        loss_on_plane(model, states, data)
    with pytest.raises(InputError, match="points must be at least 2"):
        loss_on_plane(model, states[:3], data, points=1)
    with pytest.raises(InputError, match="margin must be finite and non-negative, got -1"):
        loss_on_plane(model, states[:3], data, margin=-1.0)


def test_losses_that_are_not_finite_are_refused_by_their_place() -> None:
    model, data = nn.Linear(2, 1, bias=False), (torch.eye(2), torch.zeros(2, 1))
    states = [{"weight": torch.tensor([weight])} for weight in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])]
    with pytest.raises(DivergenceError, match=r"not finite on the plane at \(-0.25, -0.25\)"):
        loss_on_plane(model, states, data, loss=lambda outputs, _: (outputs.min() + 0.2).log(), points=5)
