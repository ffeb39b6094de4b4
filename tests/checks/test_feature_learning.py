"""Claims about networks that learn features: each rejects wrong theory, wrong training or wrong data."""

from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.closed_forms import feature_learning
from sharpdiv.checks.closed_forms.paired_draws import Draws
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.theory.feature_learning.tradeoff import LearnedSimulation
from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
from tests.laws import Mutation, law
from tests.theory.feature_learning.two_layer.cases import ALL_DIMENSIONS, FULL_BATCH

ROOM = "sharpdiv.checks.closed_forms"
BY_ID = {claim.id: claim for claim in CLAIMS}
POINTS = feature_learning._two_layer_points() + feature_learning._diagonal_points()


def verdict(name: str) -> Verdict:
    return BY_ID[name].check(Evidence()).verdict


train = feature_learning.Point.training


@cache
def trained(place: int) -> Draws:
    """Training knows nothing of the theory that mutations change."""
    return train(POINTS[place], 100 * place)


def verdict_on(*places: int) -> Verdict:
    """Of the claims of agreement, on a few of their points."""
    with patch(f"{ROOM}.feature_learning.Point.training", lambda self, seed: trained(POINTS.index(self))):
        return feature_learning._agreement([POINTS[place] for place in places]).verdict


DIAGONAL = "sharpdiv.theory.feature_learning.diagonal"
M_IGNORED = Mutation("m ignored", f"{DIAGONAL}.shift.group_strength", lambda _: lambda n, m: (1.0, 0.0))
MEMBER_FOR_D = Mutation(
    "D of members with data of their own",
    f"{DIAGONAL}.shift.Descent.at",
    lambda f: lambda self, fall, name: f(self, fall, "apart" if name == "diversity" else name),
)


@law(ALL_DIMENSIONS, FULL_BATCH)
def test_two_layer_networks_are_predicted() -> None:
    """Per sample, on f and on f - f_0."""
    assert verdict_on(2, 6) is Verdict.HOLDS


@pytest.mark.long
@pytest.mark.slow
@law(M_IGNORED, MEMBER_FOR_D)
def test_diagonal_networks_are_predicted() -> None:
    """Groups of five."""
    assert verdict_on(14) is Verdict.HOLDS


def no_ascent(name: str) -> Mutation:
    """A training that takes rho for 0."""
    return Mutation(
        "no ascent",
        f"{ROOM}.paired_draws.{name}",
        lambda f: lambda setting, rho, **rest: f(setting, tuple(0.0 * np.array(rho)), **rest),
    )


@pytest.mark.long
@pytest.mark.slow
@law(
    no_ascent("simulate_two_layer"),
    Mutation("f - f_0 for f", f"{ROOM}.learned_tradeoff._TWO_LAYER", lambda s: replace(s, subtract_initial=True)),
)
def test_all_three_fall_in_two_layer_networks() -> None:
    assert verdict("two-layer-tradeoff") is Verdict.HOLDS


@pytest.mark.long
@pytest.mark.slow
@law(
    no_ascent("simulate_diagonal"),
    Mutation("lazy alphas", f"{ROOM}.learned_tradeoff._DIAGONAL", lambda s: replace(s, alpha=0.8, learning_rate=0.25)),
)
def test_all_three_fall_in_diagonal_networks() -> None:
    assert verdict("diagonal-tradeoff") is Verdict.HOLDS


def with_m(m: int | None, name: str) -> Mutation:
    """A training with another m than asked for."""
    return Mutation(
        f"m = {m or 'n'} whatever m",
        f"{ROOM}.learned_tradeoff.{name}",
        lambda f: lambda setting, *args, **rest: f(replace(setting, m=m), *args, **rest),
    )


@pytest.mark.long
@pytest.mark.slow
@law(with_m(None, "two_layer_draws"), with_m(None, "two_layer_tradeoff"))
def test_the_effect_goes_like_one_over_m() -> None:
    assert verdict("two-layer-groups") is Verdict.HOLDS


@pytest.mark.long
@pytest.mark.slow
@law(no_ascent("simulate_diagonal"), with_m(None, "diagonal_draws"))
def test_the_sign_depends_on_m() -> None:
    assert verdict("diagonal-groups") is Verdict.HOLDS


def more_of_sets(curves: dict[str, Any]) -> dict[str, Any]:
    """Members on sets of samples that are a tenth more diverse than they are."""

    def diagonal(rho: tuple[float, ...], share: float) -> Any:
        trace, diversity = curves["diagonal"](rho, share)
        return trace, diversity * (1.1 if share < 1 else 1.0)

    return curves | {"diagonal": diagonal}


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation("diverse sets", f"{ROOM}.learned_sharpbalance._CURVES", more_of_sets),
    Mutation(
        "blocks of all the data",
        f"{ROOM}.learned_sharpbalance.two_layer_draws",
        lambda f: lambda *args, blocks, **rest: f(*args, **rest),
    ),
)
def test_at_equal_sharpness_blocks_are_more_diverse_and_sets_are_not() -> None:
    assert verdict("feature-learning-sharpbalance") is Verdict.CONDITIONAL


def upside_down(name: str) -> Mutation:
    """Diversity that goes the other way."""

    def change(f: Any) -> Any:
        def turned(*args: Any, **rest: Any) -> Any:
            right = f(*args, **rest)
            return replace(right, diversity=1 / right.diversity)

        return turned

    return Mutation(f"D upside down in {name}", f"{ROOM}.models.{name}", change)


@pytest.mark.long
@pytest.mark.slow
@law(
    upside_down("two_layer_tradeoff"),
    upside_down("random_feature_tradeoff"),
    upside_down("diagonal_tradeoff"),
    Mutation(
        "D upside down in kernels",
        f"{ROOM}.models.ensemble_errors",
        lambda f: lambda products: (found := f(products)) | {"diversity": 1 / found["diversity"]},
    ),
)
def test_the_table_of_models() -> None:
    finding = BY_ID["models"].check(Evidence())
    assert finding.verdict is Verdict.CONDITIONAL
    signs = [
        " ".join(word for word in text.replace(",", "").split() if word in WORDS) for text in finding.texts.values()
    ]
    assert signs == [
        "kappa falls D falls EIR not",
        "kappa falls D rises EIR rises",
        "kappa falls D rises EIR rises",
        "kappa falls D falls EIR falls",
        "kappa falls D falls EIR falls",
        "trace falls D falls EIR falls",
        "trace no D no EIR no",
    ]


WORDS = {"kappa", "trace", "D", "EIR", "falls", "rises", "not", "no"}


def test_points_are_what_the_claims_say() -> None:
    for points, groups in ((POINTS[:12], {30, 6, 1}), (POINTS[12:], {1, 2, 5})):
        of_m = [point.setting.group for point in points]
        assert {of_m.count(m) for m in groups} == {4}
        assert sum(point.drawn for point in points) == 5
        assert len({point.name for point in points}) == 12
    assert all(point.rho <= 0.4 * (critical_rho(point.setting) or 0) for point in POINTS[:12] if point.drawn)


@law(
    Mutation(
        "unpaired", f"{ROOM}.paired_draws.shares_of_members", lambda f: lambda count: np.roll(f(count), 1, axis=1)
    ),
    examples=10,
    seed=st.integers(0, 10**6),
    draws=st.integers(6, 12),
)
def test_changes_are_ratios_of_means_with_the_jackknife_s_errors(seed: int, draws: int) -> None:
    rng = np.random.default_rng(seed)
    names = ("diversity", "member_error", "ensemble_error", "training_loss", "trace", "sharpness")
    values = {name: rng.uniform(1, 2, (draws, 2)) + (name == "member_error") for name in names}
    found = Draws(
        tuple(
            LearnedSimulation.of(np.arange(2.0), **{name: of[i : i + 1] for name, of in values.items()})
            for i in range(draws)
        )
    )
    for name, of in values.items():
        change = found.change(name)
        assert change.value == pytest.approx(np.log(of[:, 1].mean() / of[:, 0].mean()), abs=0.02)
        # The delta method: what the jackknife estimates, to order 1/draws.
        influence = of[:, 1] / of[:, 1].mean() - of[:, 0] / of[:, 0].mean()
        assert change.stderr == pytest.approx(influence.std(ddof=1) / np.sqrt(draws), rel=0.15)
    member, ensemble = values["member_error"].mean(axis=0), values["ensemble_error"].mean(axis=0)
    assert found.means("eir")[0] == pytest.approx(1 - ensemble / member)
    assert found.means("eir")[1] == pytest.approx(
        1 - values["ensemble_error"][1:].mean(axis=0) / values["member_error"][1:].mean(axis=0)
    )
