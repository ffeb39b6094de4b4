"""Ensembles of the dial as curves: against errors by hand, at equal loss, and how often a jackknifed interval is right."""

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.checks.kernels.alpha_curves import Curves, at_loss, change, common_loss, curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork, Predicted
from sharpdiv.checks.kernels.dials import Network
from sharpdiv.checks.members import jackknife
from tests.checks.fake_dial import FRACTIONS, MEMBERS, STEPS, fake_network
from tests.laws import Mutation, law


def stored(errors: np.ndarray) -> DialNetwork:
    """A network of errors ``(fractions, members, test)`` at one number of steps."""
    members = errors.shape[1]
    products = np.einsum("xmt,xnt->xmn", errors, errors)[:, None] / errors.shape[2]
    flat = np.ones((members, len(errors), 1))
    sam = Predicted(products[..., *np.tril_indices(members)], flat, flat)
    return DialNetwork(
        Network(), tuple(map(float, range(len(errors)))), (20,), members, np.ones(members), {"sam": sam}, {}, {}
    )


@pytest.mark.parametrize("apart", [False, True])
def test_diversity_and_errors_are_those_of_the_members_by_hand(apart: bool) -> None:
    """Pairs one by one; an ensemble of three with one member on each block has each pair of such members in turn."""
    errors = np.random.default_rng(0).standard_normal((2, 6, 50))
    found = curves(stored(errors), "sam", apart=apart).at(20)
    for left_out in (None, *range(6)):
        row = 0 if left_out is None else left_out + 1
        kept = [m for m in range(6) if m != left_out]
        pairs = [(m, n) for m in kept for n in kept if m < n and (not apart or m % 3 != n % 3)]
        expected = np.mean([np.square(errors[:, m] - errors[:, n]).mean(axis=-1) / 2 for m, n in pairs], axis=0)
        assert found["diversity"][row] == pytest.approx(expected, rel=1e-12)
    if apart:
        triples = [[a, 1 + b, 2 + c] for a in (0, 3) for b in (0, 3) for c in (0, 3)]
        ensemble = np.mean([np.square(errors[:, t].mean(axis=1)).mean(axis=-1) for t in triples], axis=0)
    else:
        ensemble = np.square(errors.mean(axis=1)).mean(axis=-1)
    assert found["ensemble_error"][0] == pytest.approx(ensemble, rel=1e-12)
    assert found["eir"][0] == pytest.approx(1 - ensemble / found["member_error"][0], rel=1e-12)


UNSCALED = Mutation(
    "the values without a member themselves, not pseudo-values",
    f"{__name__}.jackknife",
    lambda f: lambda label, v: f(label, v[0] + (v - v[0]) / (1 - len(v))),
)


@pytest.mark.slow
@law(UNSCALED, examples=2, seed=st.integers(0, 1000))
def test_jackknifed_intervals_of_a_change_of_diversity_are_right_95_times_in_a_hundred(seed: int) -> None:
    """Six Gaussian members in ten dimensions whose D rises by 44%; 400 studies have a standard error of 1.1%, four of them."""
    rng = np.random.default_rng(seed)
    right = []
    for _ in range(400):
        before, new = rng.standard_normal((2, 6, 10))
        after = 1.2 * (0.8 * before + 0.6 * new)
        found = jackknife("D", change(curves(stored(np.stack([before, after])), "sam").at(20)["diversity"]))
        right.append(found.low <= np.log(1.44) <= found.high)
    assert np.mean(right) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400)


def test_fewer_than_six_members_or_a_missing_value_give_no_comparison() -> None:
    assert "needs 6" in jackknife("D", np.arange(6.0)).obstacle
    assert "diverged" in jackknife("D", np.array([1.0, *[2.0] * 5, np.nan])).obstacle
    assert np.isfinite(jackknife("D", np.arange(7.0)).p)


AT_LAST_STEP = Mutation(
    "compared at equal steps",
    f"{__name__}.at_loss",
    lambda _: lambda found, name, level: found.values[name][:, :, -1],
)


@law(AT_LAST_STEP, slope=st.floats(-2.0, 2.0), speed=st.floats(1.2, 1.9))
def test_a_function_of_the_loss_is_the_same_for_all_radii_at_equal_loss(slope: float, speed: float) -> None:
    """Radii that only train faster: D is linear in the loss, so that interpolation is exact."""
    loss = np.linspace(1.0, 0.1, 8)[None, None] ** np.array([1.0, speed])[None, :, None]
    found = Curves(np.array([0.0, 1.0]), np.arange(8.0), {"loss": loss, "diversity": 3 + slope * loss})
    level = common_loss([found], 7)
    assert level == pytest.approx(0.1)
    matched = at_loss(found, "diversity", level)
    assert matched == pytest.approx(np.full((1, 2), 3 + slope * 0.1), rel=1e-12)
    assert change(matched) == pytest.approx(0, abs=1e-12)


def test_a_level_that_is_not_reached_has_no_value() -> None:
    loss = np.array([[[1.0, 0.5], [0.4, 0.3]]])
    matched = at_loss(Curves(np.arange(2.0), np.arange(2.0), {"loss": loss, "diversity": loss}), "diversity", 0.5)
    assert matched[0, 0] == 0.5
    assert np.isnan(matched[0, 1])


def test_all_reach_the_common_loss_in_time_with_and_without_any_member() -> None:
    both = [curves(fake_network({1.0: (0.2, 0.0)}), "sam", alpha) for alpha in (None, 1.0)]
    levels = [common_loss(both, steps) for steps in STEPS]
    assert levels == sorted(levels, reverse=True)
    for found in both:
        matched = at_loss(found, "diversity", levels[1])
        assert matched.shape == (1 + MEMBERS, len(FRACTIONS))
        assert np.isfinite(matched).all()
