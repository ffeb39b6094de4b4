"""Statistics of the lazy limit on made-up networks, whose verdicts are known."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from checks import CLAIMS, Evidence, Verdict
from checks.lazy_limit import Curves, at_matched_loss, change, curves, finite_interval
from tests.laws import Mutation, law

BY_ID = {claim.id: claim for claim in CLAIMS}
FRACTIONS, STEPS, MEMBERS = (0.0, 1.0, 2.85), (10, 20, 40), 8
SHAPE = (MEMBERS, len(FRACTIONS), len(STEPS))


def ensemble(diversity: np.ndarray, loss: np.ndarray, sharpness: np.ndarray, noise: float = 0.01) -> dict[str, Any]:
    """Members whose errors have the given unbiased variance around a common error of 1, in the results' format."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((MEMBERS, 400))
    base = (base - base.mean(axis=0)) / np.sqrt(base.var(axis=0, ddof=1).mean())
    products = 1 + np.einsum("xk,mt,nt->xkmn", diversity, base, base) / 400
    rows, columns = np.tril_indices(MEMBERS)
    spread = 1 + noise * rng.standard_normal((MEMBERS, 1, 1))
    return {
        "products": products[..., rows, columns].tolist(),
        "loss": (loss * spread).tolist(),
        "sharpness": (sharpness * spread).tolist(),
    }


def network(alphas: dict[str, tuple[float, float]], theory: float = 0.2, **options: Any) -> dict[str, Any]:
    """D changes by the given share from the fraction 0 to the largest; its relative error is the second number."""
    x = np.array(FRACTIONS)[:, None] / FRACTIONS[-1]
    loss = np.array([0.4, 0.3, 0.2]) - 0.05 * x
    falling = 1 - 0.2 * x * np.ones(3)
    measured = {
        alpha: {
            name: ensemble(scale * (1 + slope * x) * np.ones(3), loss, falling)
            | {
                "relative_error": dict.fromkeys(
                    ("diversity", "member_error", "ensemble_error", "eir", "loss", "sharpness"),
                    np.full(SHAPE[1:], error).tolist(),
                ),
                "distance": np.full(SHAPE[1:], error).tolist(),
            }
            for name, scale in (("sam", 0.1), ("blocks", options.get("blocks", 0.2)))
        }
        for alpha, (slope, error) in alphas.items()
    }
    predicted = {
        name: ensemble(scale * (1 + theory * x) * np.ones(3), loss, falling)
        for name, scale in (("sam", 0.1), ("blocks", 0.2))
    }
    exact = curves({"predicted": predicted, "dial": {"fractions": FRACTIONS, "snapshots": STEPS}}, "sam")
    return {
        "network": {
            "name": options.get("name", "relu-none-8"),
            "head_only": options.get("head_only", False),
            "optimizers": ["sam", "blocks"],
        },
        "dial": {"fractions": list(FRACTIONS), "snapshots": list(STEPS), "members": MEMBERS},
        "predicted": predicted,
        "spectrum": {name: exact.values[name][0].tolist() for name in ("diversity", "loss", "sharpness")},
        "measured": measured,
    }


def verdict(name: str, *networks: dict[str, Any]) -> Verdict:
    return BY_ID[name].check(Evidence(networks=networks)).verdict


def test_the_gates_open_within_their_limits_and_shut_beyond() -> None:
    for claim, name, alpha, limit in (
        ("lazy-exact", "relu-none-8-head", "100", 1e-10),
        ("lazy-gelu", "gelu-none-8", "100", 0.01),
        ("lazy-normed", "relu-group-8", "10", 0.03),
    ):
        assert verdict(claim, network({alpha: (0.2, 0.9 * limit)}, name=name)) is Verdict.HOLDS
        assert verdict(claim, network({alpha: (0.2, 1.1 * limit)}, name=name)) is Verdict.FAILS
        assert verdict(claim) is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("rich", "expected"), [(-0.3, Verdict.HOLDS), (0.3, Verdict.FAILS), (0.0, Verdict.INCONCLUSIVE)]
)
def test_the_sign_flips_if_theory_rises_and_networks_fall(rich: float, expected: Verdict) -> None:
    assert verdict("lazy-sign-flip", network({"1": (rich, 0.5), "100": (0.2, 0.0)})) is expected


def test_one_network_that_rises_refutes_the_flip() -> None:
    falling, rising = (network({"1": (slope, 0.5)}, name=f"relu-none-{slope}") for slope in (-0.3, 0.3))
    assert verdict("lazy-sign-flip", falling, rising) is Verdict.FAILS


def test_what_diverged_is_no_agreement() -> None:
    exact = network({"100": (0.2, 0.0)}, name="relu-none-8-head")
    exact["measured"]["100"]["sam"]["relative_error"]["diversity"][1][1] = None
    assert verdict("lazy-exact", exact) is Verdict.FAILS
    blocks = network({"1": (0.2, 0.0)})
    for member in range(MEMBERS):
        blocks["measured"]["1"]["blocks"]["loss"][member][2] = [None] * len(STEPS)
    blocks["measured"]["1"]["blocks"]["products"][2] = [[None] * (MEMBERS * (MEMBERS + 1) // 2)] * len(STEPS)
    assert verdict("lazy-blocks", blocks) is Verdict.CONDITIONAL


def test_no_sign_flips_where_theory_falls_and_networks_rise() -> None:
    assert verdict("lazy-sign-flip", network({"1": (0.3, 0.5)}, theory=-0.2)) is Verdict.FAILS


def test_signs_that_agree_hold_and_opposite_ones_out_of_the_limit_are_conditions() -> None:
    assert verdict("lazy-signs", network({"1": (0.2, 0.5), "100": (0.2, 0.0)})) is Verdict.HOLDS
    assert verdict("lazy-signs", network({"1": (-0.3, 0.5), "100": (0.2, 0.0)})) is Verdict.CONDITIONAL
    assert verdict("lazy-signs", network({"1": (-0.3, 0.5), "100": (-0.3, 0.0)})) is Verdict.FAILS


def test_blocks_are_more_diverse_or_not() -> None:
    assert verdict("lazy-blocks", network({"1": (0.2, 0.0)})) is Verdict.HOLDS
    assert verdict("lazy-blocks", network({"1": (0.2, 0.0)}, blocks=0.05)) is Verdict.FAILS


def test_the_quadratic_model_fails_where_its_error_is_large() -> None:
    assert verdict("lazy-rich", network({"1": (0.2, 0.5)})) is Verdict.FAILS
    assert verdict("lazy-rich", network({"1": (0.2, 0.01)})) is Verdict.HOLDS


def test_replicates_of_the_diversity_are_not_biased() -> None:
    """Drawing members with replacement pairs some with themselves; their mean must still be D, to 4 standard errors of it."""
    found = curves(network({"1": (0.2, 0.5)}), "sam", "1").values["diversity"][:, 0, 0]
    assert found[0] == pytest.approx(0.1, rel=1e-12)
    assert abs(found[1:].mean() - 0.1) < 4 * found[1:].std() / np.sqrt(len(found) - 1)


BY_STEPS = Mutation(
    "compared at equal steps",
    "tests.checks.test_lazy_limit.at_matched_loss",
    lambda _: lambda found, name: found.values[name][:, :, -1],
)


@law(BY_STEPS, slope=st.floats(-2.0, 2.0), speed=st.floats(1.2, 1.9))
def test_a_function_of_the_loss_is_the_same_for_all_radii_at_equal_loss(slope: float, speed: float) -> None:
    """Radii that only train faster: D is linear in the loss, so that interpolation is exact."""
    loss = np.linspace(1.0, 0.1, 8)[None, None] ** np.array([1.0, speed])[None, :, None]
    found = Curves(np.array([0.0, 1.0]), np.arange(8.0), {"loss": loss, "diversity": 3 + slope * loss})
    matched = at_matched_loss(found, "diversity")
    assert matched == pytest.approx(np.full((1, 2), 3 + slope * 0.1), rel=1e-12)
    assert change(matched) == pytest.approx(0, abs=1e-12)


def test_a_level_that_is_not_reached_has_no_value() -> None:
    loss = np.array([[[1.0, 0.5], [0.4, 0.3]]])
    matched = at_matched_loss(Curves(np.arange(2.0), np.arange(2.0), {"loss": loss, "diversity": loss}), "diversity")
    assert matched[0, 0] == 0.5
    assert np.isnan(matched[0, 1])
    assert finite_interval(change(matched)) is None
