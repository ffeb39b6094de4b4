"""The claims: each theory verdict is pinned, and the statistics behind the measured ones obey their laws."""

import re
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.closed_forms.theorem1 import finite_lower_scores
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.report.pages import page
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.errors import StoreError

PROJECT = Path(__file__).parents[2]
EXPECTED = {
    "phi-quadrature": "holds",
    "alternating-sum": "holds",
    "theorem1-diversity": "holds",
    "exact-sharpness": "holds",
    "theorem1-upper": "holds within stated conditions",
    "theorem1-lower": "holds within stated conditions",
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
    "c5-theory": "holds within stated conditions",
    "covariance": "holds",
    "covariance-sharpbalance-sharpness": "not run",
    "normalized-sam": "holds",
    "normalized-sam-floor": "holds",
    "symbolic-proofs": "holds",
    "random-features": "holds",
    "random-features-tradeoff": "fails",
    "two-layer": "holds",
    "diagonal": "holds",
    "two-layer-tradeoff": "holds",
    "two-layer-groups": "holds",
    "diagonal-tradeoff": "holds",
    "diagonal-groups": "holds",
    "feature-learning-sharpbalance": "holds within stated conditions",
    "models": "holds within stated conditions",
}
"""Verdicts that do not depend on measured ensembles: another one means that the implementation changed."""

MEASURED = {
    "protocol": "holds",
    "rule-errors": "holds",
    "rule-power": "holds",
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
}
"""Verdicts on the committed results; those on trained ensembles are pinned by the report, which has their numbers."""

BY_ID = {claim.id: claim for claim in CLAIMS}


PAGES = PROJECT / "paper_checks"
SUMMARY = (PROJECT / "paper_checks.md").read_text(encoding="utf-8")
NUMBER = r"-?\d+\.?\d*(?:e[+-]?\d+)?"


@cache
def evidence() -> Evidence:
    return load_evidence(PROJECT / "results")


LONG = {
    "bounds-rigorous",
    "c5-theory",
    "covariance",
    "diagonal",
    "diagonal-groups",
    "exact-sharpness",
    "feature-learning-sharpbalance",
    "finite-theorems",
    "label-noise",
    "models",
    "normalized-sam",
    "normalized-sam-floor",
    "appendix-sharpbalance",
    "diagonal-tradeoff",
    "two-layer-groups",
    "two-layer-tradeoff",
    "random-features-tradeoff",
    "sharpness-edge",
    "random-features",
    "rule-errors",
    "rule-power",
    "sharpbalance-diverse-at-equal-rho",
    "sharpness-places",
    "symbolic-proofs",
    "theorem1-lower",
    "theorem1-upper",
    "theory-vs-pytorch",
    "two-layer",
}
SLOW = {
    "finite-moments",
    "random-features-tradeoff",
    "two-layer-groups",
    "two-layer-tradeoff",
    "theorem1-upper",
    "theorem1-lower",
    "c5-theory",
    "appendix-sharpbalance",
    "exact-sharpness",
    "sharpness-places",
    "sharpness-edge",
    "bounds-rigorous",
    "theorem2-bound-rigorous",
    "finite-theorems",
    "label-noise",
    "label-noise-lowers-eir",
    "sharpbalance-diverse-at-equal-rho",
    "tradeoff-contracting",
    "figure1b-overlap",
    "covariance",
    "normalized-sam",
    "normalized-sam-floor",
    "symbolic-proofs",
    "random-features",
    "two-layer",
    "diagonal",
    "diagonal-tradeoff",
    "diagonal-groups",
    "feature-learning-sharpbalance",
    "models",
    "theory-vs-pytorch",
    "rule-errors",
    "rule-power",
    *(claim.id for claim in CLAIMS if claim.source.endswith(("here on fashion-mnist", "here on cifar10-jpeg"))),
}
"""Claims that take more than two seconds, or will when all seeds are there: ``make test-all`` checks them again."""


def _committed(name: str) -> str:
    path = PAGES / f"{name}.md"
    assert path.exists(), "this claim has no page: sharpdiv check --write renews them"
    return path.read_text(encoding="utf-8").strip()


def _plain(text: str) -> str:
    """Without the commit of the protocol, which a copy that is no checkout does not know."""
    return re.sub(r"\b[0-9a-f]{12,64}\b|no checkout here", "commit", text)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW) + [pytest.mark.long] * (n in LONG)) for n in BY_ID]
)
def test_the_verdict_and_the_page_of_the_claim_stand(name: str) -> None:
    """Numbers may differ in their last digit between machines; words and verdicts may not."""
    finding = BY_ID[name].check(evidence())
    assert finding.verdict == (EXPECTED | MEASURED).get(name, finding.verdict), finding
    rendered, committed = _plain(page(BY_ID[name], finding).strip()), _plain(_committed(name))
    words, committed_words = (re.sub(NUMBER, "#", text) for text in (rendered, committed))
    assert words == committed_words, "renew the pages: sharpdiv check --write"
    ours, theirs = ([float(x) for x in re.findall(NUMBER, text)] for text in (rendered, committed))
    # Values have two to four digits; rounding noise (below 1e-9) has none that could be compared.
    assert [round(x, 9) for x in ours] == pytest.approx([round(x, 9) for x in theirs], rel=0.06)


@pytest.mark.parametrize("name", sorted(SLOW))
def test_of_slow_claims_the_page_has_the_verdict_and_what_is_stated(name: str) -> None:
    claim, committed = BY_ID[name], _committed(name)
    assert committed.startswith(f"# {claim.title}\n\n**")
    assert (EXPECTED | MEASURED).get(name, "") in committed.splitlines()[2]
    facts = [line for line in page(claim, Finding(Verdict.NOT_RUN)).splitlines() if line.startswith("- ")]
    assert facts == [line for line in committed.splitlines() if re.match("- (?!Status|From committed)", line)]


def test_every_claim_has_a_page_and_the_summary_has_its_verdict() -> None:
    assert {path.stem for path in PAGES.glob("*")} == set(BY_ID)
    index = SUMMARY.partition("## All ")[2]
    signs = {name: sign for sign, name in re.findall(r"(\S) \[[^]]*\]\(paper_checks/([^)]*)\.md\)", index)}
    waiting = {name for name in BY_ID if _committed(name).splitlines()[2].startswith("**– not run")}
    assert signs.keys() == BY_ID.keys() - waiting
    for name, sign in signs.items():
        verdict = (EXPECTED | MEASURED).get(name)
        assert _committed(name).splitlines()[2].startswith(f"**{sign} {verdict or ''}")


_OWN = {"protocol", "rule-errors", "rule-power"}  # about the protocol, which is no result


@pytest.mark.parametrize("name", [claim.id for claim in CLAIMS if claim.id not in EXPECTED.keys() | _OWN])
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
        ("exact-sharpness", "sharpdiv.checks.closed_forms.sharpness.sam_tradeoff"),
        ("sharpness-places", "sharpdiv.checks.closed_forms.sharpness.sharpbalance_tradeoff"),
        ("finite-theorems", "sharpdiv.checks.closed_forms.finite_size.sam_tradeoff"),
        ("label-noise", "sharpdiv.checks.closed_forms.data_models.sam_tradeoff"),
        ("covariance", "sharpdiv.checks.closed_forms.data_models.sharpbalance_tradeoff"),
        ("normalized-sam", "sharpdiv.checks.closed_forms.data_models.sam_tradeoff"),
        ("theorem2-q-exact", "sharpdiv.checks.closed_forms.theorem2.q_finite"),
        ("theorem2-q-bound", "sharpdiv.checks.closed_forms.theorem2.q_exact"),
        ("tradeoff-contracting", "sharpdiv.checks.closed_forms.sam_over_rho.sam_tradeoff"),
        ("eir-falls-in-theory", "sharpdiv.checks.closed_forms.sam_over_rho.sam_tradeoff"),
        ("phi-quadrature", "sharpdiv.checks.closed_forms.quadrature.phi"),
    ],
)
def test_nan_confirms_nothing(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pkgutil

    original = pkgutil.resolve_name(target)

    def nan(*args: Any, **kwargs: Any) -> Any:
        right = original(*args, **kwargs)
        if isinstance(right, float | np.ndarray):
            return np.nan * right
        for field in ("sharpness", "sharpness_member", "eir", "diversity"):
            object.__setattr__(right, field, np.full_like(getattr(right, field), np.nan))
        return right

    monkeypatch.setattr(target, nan)
    # Few draws: what they are compared with is no number.
    module = pkgutil.resolve_name(target.rpartition(".")[0])
    monkeypatch.setattr(module, "_DRAWS", 3, raising=False)
    if simulate := getattr(module, "simulate", None):
        monkeypatch.setattr(module, "simulate", lambda *args, **rest: simulate(*args, **rest | {"draws": 5}))
    assert BY_ID[name].check(Evidence()).verdict in {Verdict.FAILS, Verdict.INCONCLUSIVE}


SIMULATED = [
    ("theorem1-diversity", "theorem1", "diversity"),
    ("theorem2-diversity", "theorem2", "diversity"),
    ("sharpness-places", "sharpness", "sharpness_member"),
    ("sharpness-edge", "sharpness", "sharpness"),
    ("finite-theorems", "finite_size", "member_error"),
    ("label-noise", "data_models", "ensemble_error"),
    ("covariance", "data_models", "diversity"),
    ("normalized-sam", "data_models", "sharpness"),
]
"""Claims, the modules of ``checks.closed_forms`` that simulate for them, and what is simulated wrongly."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "module", "change"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] in SLOW)) for case in SIMULATED],
)
def test_a_wrong_theory_does_not_pass(name: str, module: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation 10% off the theory is what a wrong coefficient looks like."""
    from dataclasses import replace

    from sharpdiv.theory.estimate import Estimate
    from sharpdiv.theory.simulation import simulate

    def off(*args: Any, **kwargs: Any) -> Any:
        right = simulate(*args, **kwargs)
        estimate = getattr(right, change)
        wrong: dict[str, Any] = {change: Estimate(1.1 * estimate.mean, estimate.stderr)}
        return replace(right, **wrong)

    monkeypatch.setattr(f"sharpdiv.checks.closed_forms.{module}.simulate", off)
    assert BY_ID[name].check(Evidence()).verdict == Verdict.FAILS


@pytest.mark.long
@pytest.mark.slow
def test_a_wrong_filter_does_not_match_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sharpdiv.checks.kernels.frozen_features.sam_filter",
        lambda x, eta, rho: 1 - eta * x * (1 + 2 * rho[..., None] * x),
    )
    assert BY_ID["theory-vs-pytorch"].check(Evidence()).verdict == Verdict.FAILS


def _limits_with(field: str, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from sharpdiv.theory.theorems.sam import sam_tradeoff

    def off(*args: Any, **kwargs: Any) -> Any:
        right = sam_tradeoff(*args, **kwargs)
        changed: dict[str, Any] = {field: getattr(right, field) * factor}
        return replace(right, **changed)

    monkeypatch.setattr("sharpdiv.checks.closed_forms.theorem1.sam_tradeoff", off)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("side", ["upper", "lower"])
def test_both_bounds_of_theorem_1_fail_by_the_same_standard(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that the limit breaks fails; one that only finite samples break holds within conditions."""
    _limits_with(f"sharpness_{side}", 0.9 if side == "upper" else 1.1, monkeypatch)
    assert BY_ID[f"theorem1-{side}"].check(Evidence()).verdict == Verdict.FAILS


@pytest.mark.long
@pytest.mark.slow
def test_the_published_lower_bound_breaks_far_above_half_the_dimensions_only() -> None:
    scores = finite_lower_scores((0.1, 0.5, 10.0))
    assert scores.shape == (3, 120)
    assert (scores[:2] < 4).all()
    assert (scores[2] > 4).sum() >= 5


@pytest.mark.long
@pytest.mark.slow
def test_best_against_best_is_what_c5_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    """With SAM's diversity doubled many settings are lost, at diversities that matter."""
    from sharpdiv.theory.theorems.comparison import largest_diversity_at

    calls = count()
    monkeypatch.setattr(
        "sharpdiv.checks.closed_forms.equal_sharpness.largest_diversity_at",
        lambda *args: largest_diversity_at(*args) * (1 + (next(calls) % 2 == 0)),
    )
    monkeypatch.setattr("sharpdiv.checks.closed_forms.equal_sharpness._counter_example", lambda: (True, ()))
    assert BY_ID["c5-theory"].check(Evidence()).verdict == Verdict.FAILS


def test_results_that_are_no_results_are_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        found = load_evidence(folder)
        assert not (found.records)
        assert not (found.networks)
        assert not (found.comparisons)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(StoreError):
        load_evidence(tmp_path)
