"""Real runs beside their lazy limit: the verdict on made-up comparisons."""

import pytest

from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.compared import QUANTITIES, ComparedRun, KernelComparison
from sharpdiv.checks.registry import CLAIMS

CLAIM = next(claim for claim in CLAIMS if claim.id == "lazy-real")
RHOS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)


def comparison(predicted: float, measured: float, ensembles: int = 3) -> KernelComparison:
    """Three ensembles at each rho, and SharpBalance, which has no prediction; every quantity changes at about the given rates."""

    def at(rho: float, ensemble: int, rate: float) -> dict[str, float]:
        return dict.fromkeys(QUANTITIES, (1 + ensemble) * (0.3 + rate * rho * (1 + 0.01 * ensemble)))

    points = [
        ComparedRun("", "sam" if rho else "sgd", rho, (e,), at(rho, e, measured), at(rho, e, predicted))
        for rho in RHOS
        for e in range(ensembles)
    ]
    points.append(ComparedRun("", "sharpbalance", 0.1, (0,), dict.fromkeys(QUANTITIES, 9.0), None, "no closed form"))
    about = {"data": "made-up", "width": 8}
    return KernelComparison(about, {}, {}, 80, 0.91, 0.9, "worst_l2", tuple(points))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((1.0, 1.0), Verdict.HOLDS),
        ((-0.5, -0.5), Verdict.HOLDS),
        ((0.0, 0.06), Verdict.HOLDS),  # by 0.08 of the value
        ((0.0, 0.075), Verdict.INCONCLUSIVE),  # by 0.1
        ((0.0, 0.09), Verdict.FAILS),  # by 0.12
        ((1.0, 0.0), Verdict.FAILS),
        ((0.0, -0.5), Verdict.FAILS),
    ],
)
def test_the_verdict_follows_the_relative_changes(rates: tuple[float, float], expected: Verdict) -> None:
    assert CLAIM.check(Evidence(comparisons=(comparison(*rates),))).verdict is expected


def test_one_ensemble_decides_nothing() -> None:
    assert CLAIM.check(Evidence(comparisons=(comparison(1.0, 1.0, ensembles=1),))).verdict is Verdict.INCONCLUSIVE


def test_steps_and_both_changes_are_shown() -> None:
    numbers = CLAIM.check(Evidence(comparisons=(comparison(0.0, 0.75),))).texts
    assert numbers["made-up, width 8: steps in the lazy limit"] == "80: training accuracy 0.91, of the runs 0.9"
    change = "made-up, width 8, eir: {} change from the smallest to the largest rho"
    assert numbers[change.format("predicted")].startswith("0 [0, 0]")
    assert numbers[change.format("measured")].startswith(
        "1.01 ["
    )  # 0.75 * 0.4 / 0.3 of the middle one of three, 1% more


def test_without_a_comparison_it_is_not_run() -> None:
    assert CLAIM.check(Evidence()).verdict is Verdict.NOT_RUN


def test_curves_are_those_of_each_ensemble_where_there_is_a_prediction() -> None:
    predicted, measured = comparison(1.0, 2.0).over_rho("eir")
    assert predicted[1] == pytest.approx([2 * (0.3 + 1.01 * rho) for rho in RHOS])
    assert measured[2] == pytest.approx([3 * (0.3 + 2.04 * rho) for rho in RHOS])
