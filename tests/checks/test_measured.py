"""Checks of measured ensembles on made-up results: each gives the verdict that was built in, and says what is missing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from checks import CLAIMS, Evidence, Verdict
from checks.designs import DESIGNS, MAIN
from checks.judging import fitted_slope
from checks.shapes import judged as judged_shapes
from checks.shapes import steepness
from empirical import StoreError
from empirical.config import Data, Method
from tests.checks.fakes import SEEDS, fake_evidence, fake_run
from tests.laws import Mutation, law

BY_ID = {claim.id: claim for claim in CLAIMS}
FASHION: Data = "fashion-mnist"
METHODS: tuple[tuple[Method, float], ...] = (("sgd", 0.0), ("sam", 0.2), ("sharpbalance", 0.2))
"""With rho."""


# ---------------------------------------------------------------------------------------------------------- selection


def _others() -> list[dict[str, Any]]:
    """Runs on Fashion-MNIST that are not of its main design, the last two of no profile."""
    return [
        fake_run(0, "sharpbalance", 0.2, 1.0, 0.0, 0, FASHION, rule="same"),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, width=16),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, sparsity=0.5),
        fake_run(0, "sam", 0.2, 1.0, 0.0, 0, FASHION, members=6),
        fake_run(0, "sam", 0.1, 1.0, 0.0, 0, FASHION, batch_size=32),
        fake_run(0, "sam", 0.7, 1.0, 0.0, 0, FASHION),
    ]


def test_the_main_design_is_the_profiles_and_strange_runs_are_counted() -> None:
    main = fake_evidence(0, -1.0, data=FASHION).runs
    digits = fake_run(0, "sam", 0.1, 1.0, 0.0)
    assert Evidence((*_others(), digits, *main[::-1])).whole(DESIGNS[FASHION].runs).runs == main
    name = f"c1-{FASHION}"
    assert BY_ID[name].check(Evidence(main)).remark == "3 of 3 planned ensembles entered."
    found = BY_ID[name].check(Evidence((*_others(), digits, *main)))
    assert found.remark.endswith("Measured runs that belong to no profile, and were ignored: 2.")
    assert found.numbers == BY_ID[name].check(Evidence(main)).numbers
    assert not Evidence().whole(DESIGNS[FASHION].runs).runs


def test_an_ensemble_that_is_not_whole_is_left_out() -> None:
    main = fake_evidence(0, -1.0, data=FASHION).runs
    growing = [run for run in main if run["config"]["rho"] != 0.3 or run["config"]["seeds"] != list(SEEDS[1])]
    finding = BY_ID[f"c1-{FASHION}"].check(Evidence(tuple(growing)))
    assert finding.remark == "2 of 3 planned ensembles entered."
    # What SharpBalance lacks does not matter to a claim about SAM.
    part = [run for run in main if run["config"]["method"] != "sharpbalance"]
    assert BY_ID[f"c1-{FASHION}"].check(Evidence(tuple(part))).remark == "3 of 3 planned ensembles entered."


def test_not_measured_and_not_yet_for_a_whole_ensemble_are_told_apart() -> None:
    none = BY_ID["c1-digits"].check(Evidence())
    part = BY_ID["c1-digits"].check(Evidence(fake_evidence(0, -1.0, ensembles=1).runs[:3]))
    assert (none.verdict, part.verdict) == (Verdict.NOT_RUN, Verdict.NOT_RUN)
    assert none.remark == "No measured ensembles of sam and sgd on digits; run make reproduce."
    assert part.remark.startswith("Measured, but not yet for a whole ensemble: digits-sam-rho0.2-")
    assert part.remark.endswith("is first of 12 missing runs; run make reproduce.")


def test_a_run_that_is_there_twice_is_refused() -> None:
    runs = fake_evidence(0, -1.0).runs
    with pytest.raises(StoreError, match=r"digits-sgd-.* is in the results twice; remove one"):
        BY_ID["c1-digits"].check(Evidence((*runs, runs[0])))


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
    assert "fashion-mnist-sgd-" in finding.remark
    assert "run sharpdiv reproduce --profile cpu" in finding.remark


# -------------------------------------------------------------------------------------------------------- correlation


@pytest.mark.parametrize(("order", "verdict"), [(-1, Verdict.HOLDS), (1, Verdict.FAILS), (0, Verdict.INCONCLUSIVE)])
def test_a_planted_correlation_is_found(order: int, verdict: Verdict) -> None:
    """Members agree the more the flatter they are, or the sharper, or all alike."""
    runs = [
        fake_run(0, "sam" if rho else "sgd", rho, 1 - rho, 0.5 - 1.2 * order * (rho - 0.2), ensemble)
        for ensemble in range(3)
        for rho in (0.0, 0.05, 0.1, 0.2, 0.4)
    ]
    assert BY_ID["c1-digits-correlation"].check(Evidence(tuple(runs))).verdict == verdict


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
            int(10 * slope), "sam" if rho else "sgd", rho, float(np.exp(-x)), 0.1 + slope * x, data=FASHION, **fields
        )
        for rho, x in ((0.0, 0.0), (0.1, 0.5), (0.3, 1.0))
    ]


def test_steepness_of_one_ensemble_is_shown_and_decides_nothing() -> None:
    slopes = (0.8, 0.3, 0.0)
    runs = [run for s, width in zip(slopes, (8, 16, 32), strict=True) for run in _shape(s, width=width)]
    sparse = [run for s, x in zip(slopes[::-1], (0.0, 0.5, 0.8), strict=True) for run in _shape(s, sparsity=x)]
    for name, found in (("c4-size", runs), ("c4-sparsity", sparse)):
        finding = BY_ID[name].check(Evidence(tuple(found)))
        assert finding.verdict == Verdict.INCONCLUSIVE
        assert len(finding.numbers) == 2 * (3 + 3 + 3) + 2 * 2
        assert "of these networks" in finding.numbers[-1][1]
        assert "of these networks" in finding.remark


@pytest.mark.parametrize(
    ("log", "linear", "verdict"),
    [
        (-0.2, -0.2, Verdict.HOLDS),
        (0.2, 0.2, Verdict.FAILS),
        (0.0, 0.0, Verdict.INCONCLUSIVE),
        (-0.2, 0.0, Verdict.CONDITIONAL),
        (0.0, -0.2, Verdict.CONDITIONAL),
        (-0.2, 0.2, Verdict.CONDITIONAL),
    ],
)
def test_planted_steepness_is_found(
    log: float, linear: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three ensembles, of which the second network's slopes differ from the first's by this much on the two scales."""
    noise = np.random.default_rng(0).normal(0, 0.01, 3)
    by_scale = [np.zeros(3), log + noise, *[np.zeros(3)] * 2, np.zeros(3), linear + noise, *[np.zeros(3)] * 2]
    slopes = iter(by_scale)  # of DER, then of EIR
    monkeypatch.setattr("checks.shapes.steepness", lambda *_: next(slopes)[None])
    curve = fake_evidence(0, -1.0).measured("sgd", "sam")
    assert judged_shapes({"8": curve, "16": curve}, -1).verdict == verdict


@law(
    Mutation(
        "the mean of each ensemble's own line",
        "tests.checks.test_measured.steepness",
        lambda _: fitted_slope,
    ),
    examples=20,
    seed=st.integers(0, 1000),
)
def test_noise_in_sharpness_does_not_flatten_slopes(seed: int) -> None:
    """DER is 0.2 times the logarithm of the sharpness that ensembles have in the mean, and noise cancels over them."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.3, (3, 3))
    log = -0.5 * np.arange(3.0) + noise - noise.mean(axis=0)
    der = np.broadcast_to(1 + 0.2 * log.mean(axis=0), (1, 3, 3)) + rng.normal(0, 0.01, (1, 3, 1))
    assert steepness(log[None], der).mean() == pytest.approx(0.2, rel=1e-9)


@law(
    Mutation(
        "noise of sharpness left out",
        "tests.checks.test_measured.steepness",
        lambda f: lambda x, y: f(np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape), y),
    ),
    examples=5,
    seed=st.integers(0, 1000),
)
def test_the_interval_of_a_slope_is_the_jackknifes(seed: int) -> None:
    """Of 200 ensembles: the two differ by terms of order 1/200, and twice that for the square of the noise in the ratio."""
    rng = np.random.default_rng(seed)
    log = -0.5 * np.arange(3.0) + rng.normal(0, 0.3, (1, 200, 3))
    der = 1 + 0.2 * log + rng.normal(0, 0.02, (1, 200, 3))
    without = [steepness(np.delete(log, i, axis=1), np.delete(der, i, axis=1)).mean() for i in range(200)]
    jackknifed = np.sqrt(199 / 200 * np.square(np.array(without) - np.mean(without)).sum())
    assert steepness(log, der).std(ddof=1) / np.sqrt(200) == pytest.approx(jackknifed, rel=0.015)


def test_flat_sharpness_gives_no_slope_to_compare() -> None:
    runs = [run for e in range(3) for w in (8, 16, 32) for run in _shape(0.0 if w == 8 else 0.5, ensemble=e, width=w)]
    flat = [run | {"members": run["members"] | {"sharpness": {"worst_l2_adaptive": [1.0, 1.1]}}} for run in runs]
    finding = BY_ID["c4-size"].check(Evidence(tuple(flat)))
    assert finding.verdict == Verdict.INCONCLUSIVE
    assert "does not clearly fall in width 8 and width 16" in str(finding.numbers)


def test_a_missing_shape_is_named() -> None:
    finding = BY_ID["c4-size"].check(Evidence(tuple(_shape(0.4) + _shape(0.4, width=16)[1:])))
    assert finding.verdict == Verdict.NOT_RUN
    assert "not yet for a whole ensemble: fashion-mnist-sgd-" in finding.remark


# ----------------------------------------------------------------------------------------------------------- variants


def _grid(paper: float, variant: float, right: tuple[bool, bool]) -> Evidence:
    """SAM, the paper's rule and all variants with their agreement, on the same range of sharpness."""
    runs: list[dict[str, Any]] = []
    rest: dict[str, Any] = {"right": right[1]}
    for e in range(3):
        runs += [
            fake_run(0, "sam" if rho else "sgd", rho, 1.6 - 3 * rho, 0.4, e, FASHION)
            for rho in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
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
    assert "not yet for a whole ensemble: fashion-mnist-sharpbalance-" in finding.remark


# -------------------------------------------------------------------------------------------------------- calibration


def _curve(base: float, size: int, seed: int) -> dict[str, list[float]]:
    noise = np.random.default_rng(seed).normal(0, 1e-4, size)
    return {name: (base + noise + 0.1 / np.arange(1, size + 1)).tolist() for name in ("nll", "ece")}


@pytest.mark.parametrize("data", DESIGNS)
@pytest.mark.parametrize(
    ("level", "verdict"), [(0.2, Verdict.HOLDS), (0.3, Verdict.INCONCLUSIVE), (0.35, Verdict.FAILS)]
)
def test_planted_calibration_is_found(level: float, verdict: Verdict, data: Data) -> None:
    """SGD lies at 0.4, SAM at 0.3; what SharpBalance does beyond three members is one training, and only shown."""
    levels = {"sgd": 0.4, "sam": 0.3, "sharpbalance": level}
    balance = {run.rho for run in DESIGNS[data].runs if run.method == "sharpbalance"}
    methods: tuple[Method, ...] = ("sam", "sharpbalance")
    places: list[tuple[Method, float]] = [("sgd", 0.0), *((m, rho) for m in methods for rho in sorted(balance))]
    sixes = METHODS if data == FASHION else ()
    runs = [
        fake_run(0, method, rho, 1.0, 0.2, e, data, members=size)
        | {field: _curve(levels[method], size, 10 * e + len(method)) for field in ("by_size", "corrupted_by_size")}
        for size, ensembles, chosen in ((3, 3, places), (6, 1, sixes))
        for e in range(ensembles)
        for method, rho in chosen
    ]
    for name in (f"c7-{data}", f"c7-{data}-corrupted"):
        finding = BY_ID[name].check(Evidence(tuple(runs)))
        assert finding.verdict == verdict
        # A row for each curve, and NLL and ECE against two rivals.
        assert len(finding.numbers) == 2 * (len(places) + len(sixes)) + 4 * len(balance)
        assert BY_ID[name].check(Evidence(tuple(runs[: len(places) - 1]))).verdict == Verdict.NOT_RUN


# --------------------------------------------------------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("treated", "whole", "second", "verdict"),
    [
        (5800, "0.7500", "1.0000", Verdict.HOLDS),
        (13_720, "1.0800", "1.6600", Verdict.HOLDS),
        (15_400, "1.1500", "1.8000", Verdict.FAILS),
    ],
)
def test_passes_by_hand(treated: int, whole: str, second: str, verdict: Verdict) -> None:
    """200 images, 60 epochs: SAM 2 x 12,000; SharpBalance 12,000, what is treated, and 200 for scores; half in each phase."""
    runs = []
    for run in fake_evidence(0, -1.0).runs:
        samples = [treated - 200, treated, treated + 200] if run["config"]["method"] == "sharpbalance" else [12_000] * 3
        runs.append(run | {"members": run["members"] | {"sam_samples": samples}})
    finding = BY_ID["c8-cost"].check(Evidence(tuple(runs)))
    assert finding.verdict == verdict
    assert [value for _, value in finding.numbers] == [f"{whole} to {whole}", f"{second} to {second}"]


# --------------------------------------------------------------------------------------------------------- paper size


def test_what_needs_a_gpu_says_so() -> None:
    for name in [name for name in BY_ID if name.endswith("-paper-size")] + ["c3-everywhere"]:
        finding = BY_ID[name].check(Evidence())
        assert finding.verdict == Verdict.NOT_RUN
        assert "GPU hours" in finding.remark
        assert "nobody measured" in finding.remark
        assert finding.numbers
    table = BY_ID["figure7-paper-size"].check(Evidence()).numbers
    assert len(table) == 18
    assert all(0 < float(mean) < float(whole) < 100 for _, text in table for whole, mean in [text.split(" / ")])


def _at_paper_size(data: Data, right: bool) -> list[dict[str, Any]]:
    """A data set of the profile; ensembles of SharpBalance are right, or err as SAM's do."""
    return [
        fake_run(0, m, run.rho, 1.0, 0.2, SEEDS.index(run.seeds), data, right=right and m == "sharpbalance")
        for run in MAIN[data]
        for m in [run.method]
    ]


def test_results_at_paper_size_are_judged() -> None:
    accuracy = BY_ID["figure7-paper-size"]
    whole = [run for data in ("cifar10", "cifar100", "tiny-imagenet") for run in _at_paper_size(data, right=True)]
    assert accuracy.check(Evidence(tuple(whole))).verdict == Verdict.HOLDS
    part = accuracy.check(Evidence(tuple(_at_paper_size("cifar10", right=True))))
    assert part.verdict == Verdict.INCONCLUSIVE
    assert part.remark.startswith(
        "cifar10: holds. 3 of 3 planned ensembles entered. cifar100: not run. No measured ensembles"
    )
    wrong = Evidence(tuple(_at_paper_size("cifar10", right=False)))
    assert accuracy.check(wrong).verdict == Verdict.INCONCLUSIVE
    assert BY_ID["figure1c-paper-size"].check(wrong).numbers[-1][0].startswith("cifar10: SharpBalance at rho = 0.2")
