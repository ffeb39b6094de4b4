"""The claims: each theory verdict is pinned, and the statistics behind the measured ones obey their laws."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from checks import CLAIMS, Evidence, Finding, Verdict, load_evidence, render
from checks.ensembles import _accuracies_at_chosen
from checks.evidence import Measured
from checks.report import section
from empirical import StoreError
from tests.checks.fakes import SEEDS, fake_evidence, fake_run
from tests.laws import Mutation, law

PROJECT = Path(__file__).parents[2]
EXPECTED = {
    "phi-quadrature": "holds",
    "alternating-sum": "holds",
    "theorem1-diversity": "holds",
    "exact-sharpness": "holds",
    "theorem1-upper": "holds within stated conditions",
    "theorem1-lower": "fails",
    "theorem2-diversity": "holds",
    "theorem2-q-bound": "holds within stated conditions",
    "theorem2-q-exact": "holds",
    "figure1b-paper-range": "inconclusive",
    "figure1b-overlap": "holds within stated conditions",
    "appendix-sharpbalance": "holds",
    "tradeoff-contracting": "holds",
    "tradeoff-figure2-range": "fails",
    "tradeoff-turning-points": "holds within stated conditions",
    "eir-falls-in-theory": "fails",
    "theory-vs-pytorch": "holds",
    "sharpness-one-draw": "holds",
    "sharpness-places": "holds",
    "sharpness-scaling": "holds",
    "sharpness-edge": "holds",
    "bounds-rigorous": "holds",
    "theorem2-bound-rigorous": "holds",
    "finite-moments": "holds",
    "finite-joint-moments": "holds",
    "finite-first-order": "holds",
    "finite-theorems": "holds",
    "unstable-heavy-tails": "holds",
    "label-noise": "holds",
    "label-noise-lowers-eir": "holds",
    "sharpbalance-diverse-at-equal-rho": "holds",
    "c5-theory": "fails",
    "covariance": "holds",
    "covariance-sharpbalance-sharpness": "not run",
    "normalised-sam": "holds",
    "normalised-sam-floor": "holds",
    "symbolic-proofs": "holds",
    "random-features": "holds",
    "random-features-tradeoff": "fails",
}
"""Verdicts that do not depend on measured ensembles: another one means that the implementation changed."""

MEASURED = {
    "c1-digits": "inconclusive",
    "c1-digits-eir": "inconclusive",
    "c1-digits-correlation": "inconclusive",
    "c2-digits": "holds",
    "c5-digits": "inconclusive",
    "c6-digits": "inconclusive",
    "c6-digits-chosen": "inconclusive",
    "c1-cifar10-jpeg": "holds",
    "c1-cifar10-jpeg-eir": "holds",
    "c1-cifar10-jpeg-correlation": "holds",
    "c2-cifar10-jpeg": "inconclusive",
    "c5-cifar10-jpeg": "inconclusive",
    "c6-cifar10-jpeg": "fails",
    "c6-cifar10-jpeg-chosen": "fails",
    "c1-fashion-mnist": "holds",
    "c1-fashion-mnist-eir": "holds",
    "c1-fashion-mnist-correlation": "holds",
    "c2-fashion-mnist": "inconclusive",
    "c5-fashion-mnist": "inconclusive",
    "c6-fashion-mnist": "inconclusive",
    "c6-fashion-mnist-chosen": "inconclusive",
    "c3-digits": "inconclusive",
    "c3-cifar10-jpeg": "holds within stated conditions",
    "c3-fashion-mnist": "holds within stated conditions",
    "c4-size": "inconclusive",
    "c4-sparsity": "inconclusive",
    "c5-variants": "inconclusive",
    "c5-rules": "inconclusive",
    "c6-variants": "inconclusive",
    "c6-rules": "inconclusive",
    "c7-digits": "inconclusive",
    "c7-digits-corrupted": "inconclusive",
    "c7-cifar10-jpeg": "inconclusive",
    "c7-cifar10-jpeg-corrupted": "fails",
    "c7-fashion-mnist": "fails",
    "c7-fashion-mnist-corrupted": "inconclusive",
    "c8-cost": "holds",
    "lazy-exact": "holds",
    "lazy-gelu": "holds",
    "lazy-normed": "holds",
    "lazy-spectrum": "holds",
    "lazy-rich": "fails",
    "lazy-sign-flip": "fails",
    "lazy-signs": "fails",
    "lazy-signs-at-equal-loss": "fails",
    "lazy-blocks": "holds",
    "lazy-blocks-error": "fails",
    "lazy-real": "fails",
}
"""Verdicts on the committed results."""

BY_ID = {claim.id: claim for claim in CLAIMS}


REPORT = (PROJECT / "paper_checks.md").read_text(encoding="utf-8")
SECTIONS = {text.split("\n")[0]: f"## {text}".strip() for text in REPORT.split("\n## ")[1:]}
NUMBER = r"-?\d+\.?\d*(?:e[+-]?\d+)?"


@pytest.mark.parametrize("name", BY_ID)
def test_the_verdict_and_its_section_of_the_report_stand(name: str) -> None:
    """Numbers may differ in their last digit between machines; words and verdicts may not."""
    finding = BY_ID[name].check(load_evidence(PROJECT / "results"))
    assert finding.verdict == (EXPECTED | MEASURED).get(name, finding.verdict), finding
    rendered, committed = section(BY_ID[name], finding).strip(), SECTIONS[name]
    words, committed_words = (re.sub(NUMBER, "#", text) for text in (rendered, committed))
    assert words == committed_words, "renew paper_checks.md: sharpdiv check --write"
    ours, theirs = ([float(x) for x in re.findall(NUMBER, text)] for text in (rendered, committed))
    # Values have two to four digits; rounding noise (below 1e-9) has none that could be compared.
    assert [round(x, 9) for x in ours] == pytest.approx([round(x, 9) for x in theirs], rel=0.06)


def test_the_table_of_the_report_is_complete() -> None:
    rows = re.findall(r"^\| \[(.*?)\].*\*\*(.*?)\*\* \|$", REPORT, flags=re.M)
    assert [name for name, _ in rows] == list(BY_ID)
    assert all(EXPECTED.get(name, verdict) == verdict for name, verdict in rows)
    assert all(f"{BY_ID[name].title}: {verdict}." in REPORT for name, verdict in rows)


@pytest.mark.parametrize("name", [claim.id for claim in CLAIMS if claim.id not in EXPECTED])
def test_without_results_nothing_is_claimed(name: str) -> None:
    finding = BY_ID[name].check(Evidence())
    assert finding.verdict == Verdict.NOT_RUN
    assert finding.remark


def test_claims_are_complete() -> None:
    assert len(BY_ID) == len(CLAIMS) >= 12
    for claim in CLAIMS:
        texts = (claim.title, claim.statement, claim.source, claim.method, claim.tolerance, claim.run_with)
        assert all(texts), claim.id


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("exact-sharpness", "checks.sharpness.sam_tradeoff"),
        ("sharpness-places", "checks.sharpness.sharpbalance_tradeoff"),
        ("finite-theorems", "checks.finite_size.sam_tradeoff"),
        ("label-noise", "checks.data_models.sam_tradeoff"),
        ("covariance", "checks.data_models.sharpbalance_tradeoff"),
        ("normalised-sam", "checks.data_models.sam_tradeoff"),
        ("theorem2-q-exact", "checks.theorems.q_finite"),
        ("theorem2-q-bound", "checks.theorems.q_exact"),
        ("tradeoff-contracting", "checks.theorems.sam_tradeoff"),
        ("eir-falls-in-theory", "checks.theorems.sam_tradeoff"),
        ("phi-quadrature", "checks.theorems.phi"),
    ],
)
def test_nan_confirms_nothing(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pkgutil

    original = pkgutil.resolve_name(target)

    def nan(*args: Any, **kwargs: Any) -> Any:
        right = original(*args, **kwargs)
        if isinstance(right, np.ndarray):
            return np.full_like(right, np.nan)
        for field in ("sharpness", "sharpness_member", "eir", "diversity"):
            object.__setattr__(right, field, np.full_like(getattr(right, field), np.nan))
        return right

    monkeypatch.setattr(target, nan)
    assert BY_ID[name].check(Evidence()).verdict in {Verdict.FAILS, Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("name", "target", "change"),
    [
        ("theorem1-diversity", "checks.theorems.simulate", "diversity"),
        ("theorem2-diversity", "checks.theorems.simulate", "diversity"),
        ("sharpness-places", "checks.sharpness.simulate", "sharpness_member"),
        ("sharpness-edge", "checks.sharpness.simulate", "sharpness"),
        ("finite-theorems", "checks.finite_size.simulate", "member_error"),
        ("label-noise", "checks.data_models.simulate", "ensemble_error"),
        ("covariance", "checks.data_models.simulate", "diversity"),
        ("normalised-sam", "checks.data_models.simulate", "sharpness"),
    ],
)
def test_a_wrong_theory_does_not_pass(name: str, target: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation 10% off the theory is what a wrong coefficient looks like."""
    from dataclasses import replace

    from theory import Estimate, simulate

    def off(*args: Any, **kwargs: Any) -> Any:
        right = simulate(*args, **kwargs)
        estimate = getattr(right, change)
        wrong: dict[str, Any] = {change: Estimate(1.1 * estimate.mean, estimate.stderr)}
        return replace(right, **wrong)

    monkeypatch.setattr(target, off)
    assert BY_ID[name].check(Evidence()).verdict == Verdict.FAILS


def test_a_wrong_filter_does_not_match_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checks.bridge.sam_filter", lambda x, eta, rho: 1 - eta * x * (1 + 2 * rho[..., None] * x))
    assert BY_ID["theory-vs-pytorch"].check(Evidence()).verdict == Verdict.FAILS


def _unpaired(_: Any) -> Any:
    rng = np.random.default_rng(0)
    return lambda points, _: rng.multinomial(points, np.full(points, 1 / points), size=50) / points


@law(
    Mutation("unpaired test points", "checks.evidence._point_weights", _unpaired),
    examples=3,
    seed=st.integers(0, 1000),
)
def test_the_same_test_points_are_drawn_for_all_runs(seed: int) -> None:
    curve = fake_evidence(seed, -1.0).measured("sgd", "sam")
    copy = fake_evidence(seed, -1.0).measured("sgd", "sam")
    assert (curve.der == copy.der).all()


@law(
    Mutation("sign turned", "checks.ensembles.judge", lambda f: lambda c, d, **rest: f(c, -d, **rest)),
    Mutation(
        "always sure",
        "checks.ensembles.slopes",
        lambda f: lambda q: f({n: v - 9 * np.arange(5.0) for n, v in q.items()}),
    ),
    examples=3,
    seed=st.integers(0, 100),
)
def test_a_planted_tradeoff_is_found_and_its_opposite_refuted(seed: int) -> None:
    for sign, verdict in ((-1.0, Verdict.HOLDS), (1.0, Verdict.FAILS)):
        assert BY_ID["c1-digits"].check(fake_evidence(seed, sign)).verdict == verdict


def test_one_ensemble_decides_nothing() -> None:
    found = fake_evidence(0, -1.0, ensembles=1)
    for name in ("c1-digits", "c1-digits-correlation", "c2-digits", "c5-digits", "c6-digits"):
        finding = BY_ID[name].check(found)
        assert finding.verdict == Verdict.INCONCLUSIVE
        assert "1 of 3 planned ensembles entered. What one ensemble shows is of these networks" in finding.remark
        assert "of these networks" in finding.numbers[-1][1]
        assert "p = " not in finding.numbers[-1][1]


def test_underfitting_is_told() -> None:
    runs = [
        run | {"members": run["members"] | {"train_accuracy": [0.9 if run["config"]["rho"] > 0.1 else 1.0] * 3}}
        for run in fake_evidence(0, -1.0).runs
    ]
    finding = BY_ID["c1-digits"].check(Evidence(tuple(runs)))
    assert finding.remark.startswith("Training accuracy falls at rho 0.2, 0.4: part of the change is underfitting.")
    assert "underfitting" not in BY_ID["c1-digits"].check(fake_evidence(0, -1.0)).remark


def test_planted_diversity_at_equal_sharpness_is_found() -> None:
    """Here SharpBalance's members never copy each other and SAM's do."""
    assert BY_ID["c5-digits"].check(fake_evidence(0, -1.0)).verdict == Verdict.HOLDS


@pytest.mark.parametrize(("better", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.INCONCLUSIVE)])
def test_the_best_rho_is_chosen_on_one_half_and_counts_on_the_other(better: bool, verdict: Verdict) -> None:
    """SharpBalance is always right at one rho of two, or nowhere; all others are wrong on a fifth."""
    runs = []
    for run in fake_evidence(0, -1.0).runs:
        config = run["config"]
        right = better and config["method"] == "sharpbalance" and config["rho"] == 0.1
        seed = SEEDS.index(tuple(config["seeds"]))
        runs.append(fake_run(0, config["method"], config["rho"], 1.0, 0.0, seed, right=right))
    finding = BY_ID["c6-digits-chosen"].check(Evidence(tuple(runs)))
    assert finding.verdict == verdict
    if better:
        assert ("rho of SharpBalance that is best on each half", "0.1, 0.1") in finding.numbers


@law(
    Mutation(
        "chosen on the half that counts",
        "checks.ensembles._best",
        lambda f: lambda curve: 1 - f(curve),  # of two rho, each of which is best on one half
    ),
)
def test_no_half_is_chosen_on_itself() -> None:
    """Each rho is always right on one half and always wrong on the other: where it was not looked at, the choice is wrong."""
    errors = np.array([[[[0.0, 1.0]] * 3], [[[1.0, 0.0]] * 3]])
    halves = [
        Measured(np.array([0.1, 0.2]), np.ones((1, 3, 2)), *[half, half, half, half, 1 - half]) for half in errors
    ]
    for values in _accuracies_at_chosen(*halves).values():
        assert (values == 0).all()


def test_halves_of_the_test_points_make_up_the_whole() -> None:
    evidence = fake_evidence(0, -1.0)
    whole, *halves = (evidence.measured("sgd", "sam", half=half).ensemble_error[0] for half in (None, 0, 1))
    assert np.mean(halves, axis=0) == pytest.approx(whole, rel=1e-12)
    assert (halves[0] != halves[1]).any()


def test_sharpness_outside_the_curve_is_shown_and_not_judged() -> None:
    """One ensemble at one rho is enough, even if all else is clear."""
    runs = fake_evidence(0, -1.0).runs
    far = fake_run(0, "sharpbalance", 0.1, 9.0, 0.0, 2)
    finding = BY_ID["c5-digits"].check(Evidence((*(run for run in runs if run["config"] != far["config"]), far)))
    assert finding.verdict == Verdict.INCONCLUSIVE
    assert "1 of 2 comparisons cannot be made" in finding.remark
    assert "outside the range of the curve in 1 of 3 ensembles" in str(finding.numbers)


def test_the_report_has_every_claim_and_number() -> None:
    findings = [(claim, Finding(Verdict.FAILS, (("a|b", "1 ± 2"),), "Because.")) for claim in CLAIMS]
    text = render(findings)
    assert text.count("| a\\|b | 1 ± 2 |") == len(CLAIMS)
    assert all(f"## {claim.id}\n" in text and claim.statement in text for claim in CLAIMS)


def test_the_overview_has_every_claim_of_the_paper_and_what_speaks_to_it() -> None:
    *lines, last = [line for line in REPORT.splitlines() if line.startswith(("| **C", "| **Theorems"))]
    assert [line[4:6] for line in lines] == [f"C{i}" for i in range(1, 9)]
    for claim in CLAIMS:
        names = re.findall(r"\bC\d\b", claim.source)
        for name in names:
            if claim.subject != "implementation":
                assert f"](#{claim.id}) **" in lines[int(name[1]) - 1]
        assert (f"](#{claim.id}) **" in last) == (claim.subject == "networks" and not names)


def test_results_that_are_no_results_are_refused(tmp_path: Path) -> None:
    assert load_evidence(tmp_path / "none.json") == Evidence()
    assert load_evidence(tmp_path) == Evidence()
    (tmp_path / "other.json").write_text("{}")
    for path in (tmp_path / "other.json", tmp_path):
        with pytest.raises(StoreError):
            load_evidence(path)
