"""Claims out of the lazy limit on made-up networks, whose verdicts are known."""

import numpy as np
import pytest

from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.dials import Network
from sharpdiv.checks.registry import CLAIMS
from tests.checks.fake_dial import fake_network

BY_ID = {claim.id: claim for claim in CLAIMS}


def finding(name: str, *networks: DialNetwork) -> Finding:
    return BY_ID[name].check(Evidence(networks=networks))


def verdict(name: str, *networks: DialNetwork) -> Verdict:
    return finding(name, *networks).verdict


def test_the_quadratic_model_fails_where_its_error_is_large() -> None:
    assert verdict("lazy-rich", fake_network({1.0: (0.2, 0.5)})) is Verdict.FAILS
    assert verdict("lazy-rich", fake_network({1.0: (0.2, 0.01)})) is Verdict.HOLDS
    assert verdict("lazy-rich", fake_network({100.0: (0.2, 0.01)})) is Verdict.NOT_RUN


def test_the_distance_falls_with_alpha_as_planted() -> None:
    numbers = finding("lazy-rich", fake_network({1.0: (0.2, 0.5), 100.0: (0.2, 0.05)})).texts
    assert numbers["relu-none-8: distance of the functions by alpha"] == "1: 50%, 100: 5%; like alpha to the -0.50"


def test_a_diverged_radius_is_told_and_no_agreement() -> None:
    network = fake_network({1.0: (0.2, 0.01)})
    network.measured[1.0]["sam"].relative_error["diversity"][2, 1] = np.nan
    found = finding("lazy-rich", network)
    assert found.verdict is Verdict.FAILS
    assert ("relu-none-8: D, largest relative error over rho by alpha", "1: diverged") in found.texts.items()


@pytest.mark.parametrize(
    ("rich", "expected"), [(-0.3, Verdict.HOLDS), (0.3, Verdict.FAILS), (0.0, Verdict.INCONCLUSIVE)]
)
def test_the_sign_flips_if_theory_rises_and_networks_fall(rich: float, expected: Verdict) -> None:
    found = finding("lazy-sign-flip", fake_network({1.0: (rich, 0.5), 100.0: (0.2, 0.0)}))
    assert found.verdict is expected
    assert "That D rises in theory: holds." in found.remark


def test_one_network_that_rises_refutes_the_flip() -> None:
    falling, rising = (
        fake_network({1.0: (slope, 0.5)}, network=Network(width=width)) for slope, width in ((-0.3, 8), (0.3, 16))
    )
    assert verdict("lazy-sign-flip", falling, rising) is Verdict.FAILS


def test_no_sign_flips_where_theory_falls() -> None:
    assert verdict("lazy-sign-flip", fake_network({1.0: (-0.3, 0.5)}, theory=-0.2)) is Verdict.FAILS


def test_signs_that_agree_hold_and_opposite_ones_are_named() -> None:
    assert verdict("lazy-signs", fake_network({1.0: (0.2, 0.5), 100.0: (0.2, 0.0)})) is Verdict.HOLDS
    found = finding("lazy-signs", fake_network({1.0: (-0.3, 0.5), 100.0: (0.2, 0.0)}))
    assert found.verdict is Verdict.FAILS
    assert found.remark == "Opposite: relu-none-8, alpha = 1, D; relu-none-8, alpha = 1, EIR."


def test_signs_at_equal_loss_are_those_that_were_planted() -> None:
    """Change is a share of the radius at every step, so equal loss alters nothing."""
    assert verdict("lazy-signs-at-equal-loss", fake_network({1.0: (0.2, 0.5)})) is Verdict.HOLDS
    found = finding("lazy-signs-at-equal-loss", fake_network({1.0: (-0.3, 0.5), 100.0: (0.2, 0.0)}))
    assert found.verdict is Verdict.FAILS
    assert found.remark == "Opposite: relu-none-8, alpha = 1, D; relu-none-8, alpha = 1, EIR."
    assert (
        "relu-none-8: log ratio of D in theory and trained by alpha",
        "1: +0.18, -0.36; 100: +0.18, +0.18",
    ) in found.texts.items()


def test_a_prediction_without_a_sign_decides_nothing() -> None:
    assert verdict("lazy-signs", fake_network({1.0: (0.2, 0.5)}, theory=0.0)) is Verdict.INCONCLUSIVE


def test_ensembles_on_blocks_are_more_diverse_and_better_or_not() -> None:
    """Members have one error, 1.1 or more, so that the ensemble's falls where D grows more than that."""
    assert verdict("lazy-blocks", fake_network({1.0: (0.2, 0.0)})) is Verdict.HOLDS
    assert verdict("lazy-blocks", fake_network({1.0: (0.2, 0.0)}, blocks=0.05)) is Verdict.FAILS
    assert verdict("lazy-blocks-error", fake_network({1.0: (0.2, 0.0)}, blocks=0.05)) is Verdict.HOLDS
    assert verdict("lazy-blocks-error", fake_network({1.0: (0.2, 0.0)})) is Verdict.FAILS


def test_blocks_that_diverged_are_no_agreement() -> None:
    blocks = fake_network({1.0: (0.2, 0.0)})
    blocks.measured[1.0]["blocks"].loss[:, 2] = np.nan
    blocks.measured[1.0]["blocks"].products[2] = np.nan
    assert verdict("lazy-blocks", blocks) is Verdict.INCONCLUSIVE


def test_without_the_dial_nothing_is_run() -> None:
    for name in (
        "lazy-rich",
        "lazy-sign-flip",
        "lazy-signs",
        "lazy-signs-at-equal-loss",
        "lazy-blocks",
        "lazy-blocks-error",
    ):
        assert verdict(name) is Verdict.NOT_RUN
