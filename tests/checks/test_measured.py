"""Checks of measured ensembles on made-up results: each gives the verdict that was built in, and says what is missing."""

from typing import Any

import numpy as np
import pytest

from checks import CLAIMS, Evidence, Verdict
from checks.calibration import judged
from checks.evidence import SEED
from checks.shapes import steepness
from empirical import StoreError
from empirical.config import Data, Method
from tests.checks.fakes import fake_evidence, fake_run

BY_ID = {claim.id: claim for claim in CLAIMS}
FASHION: Data = "fashion-mnist"
METHODS: tuple[tuple[Method, float, float], ...] = (("sgd", 0.0, 0.4), ("sam", 0.2, 0.3), ("sharpbalance", 0.2, 0.2))
"""With rho, and where calibration is planted."""


# ---------------------------------------------------------------------------------------------------------- selection


def test_the_main_design_leaves_out_variants_and_ensembles_that_are_not_complete() -> None:
    main = fake_evidence(0, -1.0, data=FASHION).runs
    others = [
        fake_run(0, "sharpbalance", 0.1, 1.0, 0.0, 0, FASHION, rule="same"),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, width=16),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, sparsity=0.5),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, members=6),
        fake_run(0, "sam", 0.1, 1.0, 0.0),
    ]
    assert Evidence((*others, *main)).main(FASHION).runs == main
    # A rho that only one ensemble was trained with yet leaves that ensemble alone.
    growing = Evidence((*main, fake_run(0, "sam", 0.3, 1.0, 0.0, 1, FASHION))).main(FASHION)
    assert growing.ensembles == 1
    finding = BY_ID[f"c1-{FASHION}"].check(growing)
    assert "Only 1 of 3 ensembles are complete" in finding.remark
    assert not Evidence().main(FASHION).runs


def test_the_order_of_runs_does_not_matter() -> None:
    runs = fake_evidence(0, -1.0).runs
    forward, backward = (Evidence(order).measured("sgd", "sam").der for order in (runs, runs[::-1]))
    assert (forward == backward).all()


def test_what_cannot_be_paired_is_refused() -> None:
    runs = fake_evidence(0, -1.0).runs
    with pytest.raises(StoreError, match="for every ensemble"):
        Evidence(runs[1:]).measured("sgd", "sam")
    with pytest.raises(StoreError, match="for every ensemble"):
        Evidence((*runs, fake_run(0, "sam", 0.1, 1.0, 0.0, 0, width=16))).measured("sgd", "sam")


@pytest.mark.parametrize("name", ["c1-{}", "c1-{}-eir", "c1-{}-correlation", "c2-{}", "c3-{}", "c5-{}", "c6-{}"])
def test_a_method_that_is_missing_is_named(name: str) -> None:
    runs = [run for run in fake_evidence(0, -1.0, data=FASHION).runs if run["config"]["method"] == "sam"]
    finding = BY_ID[name.format(FASHION)].check(Evidence(tuple(runs)))
    assert finding.verdict == Verdict.NOT_RUN
    assert "sgd" in finding.remark
    assert "run sharpdiv reproduce --profile cpu" in finding.remark


# -------------------------------------------------------------------------------------------------------- correlation


@pytest.mark.parametrize(("order", "verdict"), [(-1, Verdict.HOLDS), (1, Verdict.FAILS)])
def test_a_planted_correlation_is_found(order: int, verdict: Verdict) -> None:
    """Members agree the more the flatter they are, or the sharper."""
    runs = [
        fake_run(0, "sam" if rho else "sgd", rho, 1 - rho, 0.5 - 1.2 * order * (rho - 0.2), ensemble)
        for ensemble in range(3)
        for rho in (0.0, 0.1, 0.2, 0.4)
    ]
    assert BY_ID["c1-digits-correlation"].check(Evidence(tuple(runs))).verdict == verdict


def test_no_correlation_is_inconclusive() -> None:
    runs = [
        fake_run(0, "sam" if rho else "sgd", rho, 1 - rho, 0.3, ensemble)
        for ensemble in range(3)
        for rho in (0.0, 0.1, 0.2, 0.4)
    ]
    assert BY_ID["c1-digits-correlation"].check(Evidence(tuple(runs))).verdict == Verdict.INCONCLUSIVE


# ------------------------------------------------------------------------------------------------------- every metric


def _with_metrics(run: dict[str, Any], sign: float) -> dict[str, Any]:
    rng = np.random.default_rng(int(1000 * run["config"]["rho"]) + run["config"]["seeds"][0])
    names = ("disagreement", "der", "eir", "variance", "kl", "logit_variance")
    value = 1 + sign * run["config"]["rho"]
    metrics = {name: float(value + rng.normal(0, 0.01)) for name in names}
    return run | {"metrics": metrics, "cka": {"blocks.0": 0.5, "blocks.1": float(1 - value + rng.normal(0, 0.01))}}


@pytest.mark.parametrize(
    ("diversity", "verdict"), [(-1.0, Verdict.HOLDS), (1.0, Verdict.FAILS), (0.0, Verdict.INCONCLUSIVE)]
)
def test_every_metric_that_moves_is_found(diversity: float, verdict: Verdict) -> None:
    runs = tuple(_with_metrics(run, diversity) for run in fake_evidence(0, -1.0).runs)
    finding = BY_ID["c3-digits"].check(Evidence(runs))
    assert finding.verdict == verdict
    assert len(finding.numbers) == 7 + 2


# ------------------------------------------------------------------------------------------------------------- shapes


def _shape(slope: float, **fields: Any) -> list[dict[str, Any]]:
    """Agreement that rises by ``slope`` when the logarithm of sharpness falls by 1."""
    return [
        fake_run(
            int(10 * slope),
            "sam" if rho else "sgd",
            rho,
            float(np.exp(-x)),
            0.1 + slope * x,
            data=FASHION,
            seeds=(13, 17, 27),
            **fields,
        )
        for rho, x in ((0.0, 0.0), (0.1, 0.5), (0.3, 1.0))
    ]


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [((0.8, 0.3, 0.0), Verdict.HOLDS), ((0.0, 0.3, 0.8), Verdict.FAILS), ((0.4, 0.4, 0.4), Verdict.INCONCLUSIVE)],
)
def test_planted_steepness_is_found(slopes: tuple[float, ...], verdict: Verdict) -> None:
    runs = [run for s, width in zip(slopes, (8, 16, 32), strict=True) for run in _shape(s, width=width)]
    sparse = [run for s, x in zip(slopes[::-1], (0.0, 0.5, 0.8), strict=True) for run in _shape(s, sparsity=x)]
    for name, evidence in (("c4-size", runs), ("c4-sparsity", sparse)):
        finding = BY_ID[name].check(Evidence(tuple(evidence)))
        assert finding.verdict == Verdict.INCONCLUSIVE  # one ensemble does not decide
        assert finding.remark.startswith(f"Of these networks it {verdict};") == (verdict != Verdict.INCONCLUSIVE)


def test_a_missing_shape_is_named() -> None:
    finding = BY_ID["c4-size"].check(Evidence(tuple(_shape(0.4) + _shape(0.4, width=16)[1:])))
    assert finding.verdict == Verdict.NOT_RUN
    assert "width 16 and 32" in finding.remark


def test_members_widen_the_interval_as_the_jackknife_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """With test points held fixed, the replicates' variance is the jackknife's; 2,000 draws of three give it within 10%."""
    monkeypatch.setattr("checks.shapes.point_weights", lambda points, _: np.full((2001, points), 1 / points))
    runs = _shape(0.5)
    replicates, eir = steepness(runs, SEED)
    left_out = np.unique(replicates[1:].round(12)) - replicates[0]
    assert len(left_out) == 3
    # sqrt(2) times the deviations of the three: (n - 1) / n times the sum of their squares is the mean of these squares.
    assert replicates[1:].var() == pytest.approx((left_out**2).mean(), rel=0.1)
    assert np.ptp(eir) < 1e-12


# ----------------------------------------------------------------------------------------------------------- variants


def _grid(paper: float, variant: float, right: tuple[bool, bool]) -> Evidence:
    """SAM, the paper's rule and all variants with their agreement, on the same range of sharpness."""
    runs: list[dict[str, Any]] = []
    rest: dict[str, Any] = {"right": right[1]}
    for e in range(3):
        runs += [
            fake_run(0, "sam" if rho else "sgd", rho, 1.6 - 3 * rho, 0.4, e, FASHION) for rho in (0.0, 0.1, 0.2, 0.4)
        ]
        for rho, sharpness in ((0.1, 1.3), (0.2, 1.0), (0.4, 0.7)):
            runs.append(fake_run(1, "sharpbalance", rho, sharpness, paper, e, FASHION, right=right[0]))
            runs.append(fake_run(2, "sharpbalance", rho, 1.1 - rho / 2, variant, e, FASHION, top_fraction=0.25, **rest))
        for seed, rule in enumerate(("code", "random", "same")):
            runs.append(fake_run(3 + seed, "sharpbalance", 0.2, 1.0, variant, e, FASHION, rule=rule, **rest))
    return Evidence(tuple(runs))


@pytest.mark.parametrize(
    ("paper", "variant", "verdicts"),
    [
        (0.1, 0.1, (Verdict.HOLDS, Verdict.INCONCLUSIVE)),
        (0.1, 0.9, (Verdict.FAILS, Verdict.HOLDS)),
        (0.9, 0.4, (Verdict.INCONCLUSIVE, Verdict.FAILS)),
    ],
)
def test_planted_diversity_of_variants_is_found(
    paper: float, variant: float, verdicts: tuple[Verdict, Verdict]
) -> None:
    found = _grid(paper, variant, (False, False))
    assert tuple(BY_ID[name].check(found).verdict for name in ("c5-variants", "c5-rules")) == verdicts


@pytest.mark.parametrize(
    ("right", "verdicts"),
    [
        ((True, True), (Verdict.HOLDS, Verdict.INCONCLUSIVE)),
        ((True, False), (Verdict.INCONCLUSIVE, Verdict.HOLDS)),
        ((False, True), (Verdict.HOLDS, Verdict.FAILS)),
    ],
)
def test_planted_accuracy_of_variants_is_found(right: tuple[bool, bool], verdicts: tuple[Verdict, Verdict]) -> None:
    found = _grid(0.2, 0.2, right)
    assert tuple(BY_ID[name].check(found).verdict for name in ("c6-variants", "c6-rules")) == verdicts


@pytest.mark.parametrize("name", ["c5-variants", "c5-rules", "c6-variants", "c6-rules"])
def test_missing_variants_are_named(name: str) -> None:
    runs = [run for run in _grid(0.2, 0.2, (False, False)).runs if run["config"]["rule"] != "random"]
    finding = BY_ID[name].check(Evidence(tuple(runs)))
    assert finding.verdict == Verdict.NOT_RUN
    assert "rule random on" in finding.remark


# -------------------------------------------------------------------------------------------------------- calibration


def _curve(base: float, size: int, seed: int) -> dict[str, list[float]]:
    noise = np.random.default_rng(seed).normal(0, 1e-4, size)
    return {name: (base + noise + 0.1 / np.arange(1, size + 1)).tolist() for name in ("nll", "ece")}


@pytest.mark.parametrize(
    ("three", "six", "verdict"),
    [
        (0.2, 0.2, Verdict.CONDITIONAL),
        (0.2, 0.9, Verdict.INCONCLUSIVE),
        (0.9, 0.2, Verdict.FAILS),
        (0.3, 0.2, Verdict.INCONCLUSIVE),
    ],
)
def test_planted_calibration_is_found(three: float, six: float, verdict: Verdict) -> None:
    """SGD lies at 0.4, SAM at 0.3; what SharpBalance does beyond three members is one training, and cannot decide."""
    levels = {"sgd": (0.4, 0.4), "sam": (0.3, 0.3), "sharpbalance": (three, six)}
    threes = {m: [_curve(level, 3, 10 * e + len(m)) for e in range(3)] for m, (level, _) in levels.items()}
    sixes = {m: _curve(level, 6, 99) for m, (_, level) in levels.items()}
    assert judged(threes, sixes).verdict == verdict


def test_calibration_needs_two_ensembles_of_three_and_one_of_six() -> None:
    runs = [
        fake_run(0, method, rho, 1.0, 0.2, e, FASHION, members=size)
        | {"by_size": _curve(level, size, 7 * e + size), "corrupted_by_size": _curve(level, size, e)}
        for e, size in ((0, 3), (1, 3), (0, 6))
        for method, rho, level in METHODS
    ]
    for name in ("c7-calibration", "c7-calibration-corrupted"):
        assert BY_ID[name].check(Evidence(tuple(runs))).verdict != Verdict.NOT_RUN
        assert BY_ID[name].check(Evidence(tuple(runs[:-1]))).verdict == Verdict.NOT_RUN
        assert BY_ID[name].check(Evidence(tuple(runs[3:]))).verdict == Verdict.NOT_RUN


# --------------------------------------------------------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("treated", "ratio", "verdict"),
    [(7800, "0.7500", Verdict.HOLDS), (18_360, "1.0800", Verdict.HOLDS), (20_600, "1.1500", Verdict.FAILS)],
)
def test_passes_by_hand(treated: int, ratio: str, verdict: Verdict) -> None:
    """200 images, 80 epochs: SAM 2 x 16,000; SharpBalance 16,000, what is treated, and 200 for scores."""
    options: dict[str, Any] = {"train_samples": 200, "epochs": 80}
    sam, balance = fake_run(0, "sam", 0.1, 1.0, 0.0, **options), fake_run(0, "sharpbalance", 0.1, 1.0, 0.0, **options)
    sam["members"]["sam_samples"] = [16_000] * 3
    balance["members"]["sam_samples"] = [treated - 200, treated, treated + 200]
    finding = BY_ID["c8-cost"].check(Evidence((sam, balance)))
    assert finding.verdict == verdict
    assert finding.numbers[0][1] == f"{ratio} to {ratio}"


# --------------------------------------------------------------------------------------------------------- paper size


def test_what_needs_a_gpu_says_so() -> None:
    for name in ("figure4-paper-size", "figure5-paper-size", "figure7-paper-size", "c3-everywhere"):
        finding = BY_ID[name].check(Evidence())
        assert finding.verdict == Verdict.NOT_RUN
        assert "GPU hours" in finding.remark
        assert "nobody measured" in finding.remark
    table = BY_ID["figure7-paper-size"].check(Evidence()).numbers
    assert len(table) == 18
    assert all(0 < float(mean) < float(whole) < 100 for _, text in table for whole, mean in [text.split(" / ")])
