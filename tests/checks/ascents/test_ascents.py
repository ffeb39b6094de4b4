"""Claims on ascents of few samples: each tells a planted effect from its opposite and from none; and the sweep they are about."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.checks.ascents import sweep as sweeps
from sharpdiv.checks.ascents.claims import CLAIMS
from sharpdiv.checks.ascents.networks import (
    DESCENT,
    FULL_BATCH,
    RATE,
    SWEEPS,
    Ascent,
    FittedNetwork,
    Regime,
    Sweep,
    largest_eigenvalue,
)
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.ascents.sweep import plan_sweep, run_sweep
from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.errors import DivergenceError, StoreError
from sharpdiv.empirical.lazy.equal_loss import train_to_losses
from sharpdiv.empirical.store import save_json
from tests.checks.ascents.fitted_worlds import (
    FEW,
    LAZY,
    SUBTRACTED,
    WAYS,
    Effect,
    planted,
    planted_evidence,
    stated,
)
from tests.laws import Mutation, law

CHECKS = {claim.id.removeprefix("ascent-"): claim.check for claim in CLAIMS}
HOLDS, FAILS, OPEN, NOT_RUN = Verdict.HOLDS, Verdict.FAILS, Verdict.INCONCLUSIVE, Verdict.NOT_RUN


WHOLE = {"cpu": Sweep("ascents.json", (planted(stated()).network,))}
"""A sweep of the planted network alone."""


@pytest.fixture(autouse=True)
def only_the_planted_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.checks.ascents.claims.SWEEPS", WHOLE)


def test_nothing_holds_before_all_networks_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.checks.ascents.claims.SWEEPS", SWEEPS)
    for check in CHECKS.values():
        finding = check(planted_evidence(stated()))
        assert finding.verdict == OPEN
        assert "not trained yet: two-layer relu, scale 1;" in finding.remark
    assert verdicts(planted_evidence(stated(-1.0)))["together"] == FAILS


def verdicts(evidence: Evidence) -> dict[str, Verdict]:
    return {name: check(evidence).verdict for name, check in CHECKS.items()}


@law(
    Mutation(
        "full batch for few samples",
        "sharpdiv.checks.ascents.claims.few_samples",
        lambda _: lambda found: FULL_BATCH if FULL_BATCH in found.fitted else None,
    ),
    Mutation("ratios upside down", "sharpdiv.checks.ascents.changes.changes", lambda f: lambda *a: -f(*a)),
    Mutation(
        "unpaired members",
        "sharpdiv.checks.ascents.changes.jackknife",
        lambda f: lambda name, v, s="": f(name, v[:3], s),
    ),
    Mutation(
        "f - f_0 taken for ordinary training",
        "sharpdiv.checks.ascents.claims.ordinary",
        lambda _: lambda evidence: [found for found in evidence.ascents if found.regime == SUBTRACTED],
    ),
    Mutation("early is late", "sharpdiv.checks.ascents.claims.EARLY", lambda _: -1),
    examples=4,
    seed=st.integers(0, 1000),
)
def test_what_the_claims_state_is_found(seed: int) -> None:
    assert set(verdicts(planted_evidence(stated(), seed=seed)).values()) == {HOLDS}


def test_a_method_that_does_nothing_confirms_only_that_nothing_moves() -> None:
    for seed in range(5):
        found = verdicts(planted_evidence(stated(0.0), seed=seed))
        assert found == dict.fromkeys(CHECKS, OPEN) | {"lazy": HOLDS}
    exactly = verdicts(planted_evidence(stated(0.0), noise=0.0))  # to the bit: ratios of nothing
    assert exactly == dict.fromkeys(CHECKS, OPEN) | {"lazy": HOLDS}


def test_a_method_that_does_the_opposite_is_told() -> None:
    """That norms tell diversity has no direction, and nothing moves in the lazy regime here either."""
    found = verdicts(planted_evidence(stated(-1.0)))
    assert found == dict.fromkeys(CHECKS, FAILS) | {"norms": HOLDS, "lazy": HOLDS}


def only(**values: tuple[float, float, float]) -> Effect:
    """Changes by name: of few or many samples, with f or f - f_0."""

    def effect(regime: Regime, ascent: Ascent, _: int) -> tuple[float, float, float]:
        name = ("few" if ascent.m else "full") + ("_less_initial" if regime.subtract_initial else "")
        return values.get(name, (0.0, 0.0, 0.0)) if ascent.fraction else (0.0, 0.0, 0.0)

    return effect


WORLDS: dict[str, tuple[str, Effect, Verdict]] = {
    "only the trace falls, as in a lazy network": ("models", only(few=(-0.5, 0.5, 0.0)), FAILS),
    "one of three does not fall": ("together", only(few=(0.0, -0.5, 0.0)), OPEN),
    "one of three rises": ("together", only(few=(0.5, -0.5, 0.0)), FAILS),
    "only the full batch does something, the other way": ("full-batch", only(full=(0.0, 0.4, 0.0)), OPEN),
    "both rise, the full batch more": ("full-batch", only(few=(0.0, 0.2, 0.0), full=(0.0, 0.4, 0.0)), FAILS),
    "the full batch lowers D more": ("full-batch", only(few=(0.0, -0.2, 0.0), full=(0.0, -0.4, 0.0)), FAILS),
    "every size alike": ("size", only(few=(-0.5, -0.5, 0.0)), FAILS),
    "one of the two rises": ("size", only(few=(-0.5, 0.5, 0.0)), FAILS),
    "the norm stays": ("norms", only(few=(0.0, -0.5, 0.0)), FAILS),
    "the norm rises": ("norms", only(few=(0.0, -0.5, 0.5)), FAILS),
    "the norm falls twice as much": ("norms", only(few=(0.0, -0.5, -1.0)), FAILS),
    "no fall to hide": ("initial", only(few_less_initial=(0.0, 0.5, 0.0)), OPEN),
    "rises in both": ("initial", only(few=(0.0, 0.2, 0.0), few_less_initial=(0.0, 0.5, 0.0)), FAILS),
    "a larger fall on f - f_0": ("initial", only(few=(0.0, -0.2, 0.0), few_less_initial=(0.0, -0.5, 0.0)), FAILS),
    "the lazy regime moves": ("lazy", only(few_less_initial=(-0.2, 0.0, 0.0)), FAILS),
    "the full batch moves it": ("lazy", only(full_less_initial=(0.0, 0.2, 0.0)), FAILS),
}


@pytest.mark.parametrize("world", WORLDS)
def test_what_only_looks_like_a_claim_does_not_confirm_it(world: str) -> None:
    name, effect, expected = WORLDS[world]
    assert CHECKS[name](planted_evidence(effect)).verdict == expected


def test_a_power_of_another_size_is_told() -> None:
    def squared(_: Regime, ascent: Ascent, __: int) -> tuple[float, float, float]:
        fall = -1.5 * ascent.m**-2.0 if ascent.m else 0.0
        return fall, fall, 0.0

    finding = CHECKS["size"](planted_evidence(squared, noise=1e-4))
    assert finding.verdict == FAILS
    assert "Outside [-1.25, -0.75]" in finding.remark


def without(evidence: Evidence, *ways: Ascent, regimes: Sequence[Regime] = (Regime(), SUBTRACTED, LAZY)) -> Evidence:
    found = [
        replace(each, fitted={way: fitted for way, fitted in each.fitted.items() if way not in ways})
        if each.regime in regimes
        else each
        for each in evidence.ascents
    ]
    return Evidence(ascents=tuple(found))


def test_what_was_not_trained_is_not_run() -> None:
    whole = planted_evidence(stated())
    of_few = [way for way in WAYS if way.m]
    cases: list[tuple[Evidence, set[str]]] = [
        (Evidence(), set(CHECKS)),
        (without(whole, DESCENT), set(CHECKS)),
        (without(whole, *of_few), set(CHECKS) - {"lazy"}),
        (without(whole, FULL_BATCH, *of_few), set(CHECKS)),
        (without(whole, FULL_BATCH), {"full-batch"}),
        (without(whole, Ascent(0.1, 4)), {"size"}),
        (without(whole, FEW, regimes=[SUBTRACTED]), {"initial"}),
        (without(whole, DESCENT, regimes=[SUBTRACTED]), {"initial", "early"}),
        (without(whole, DESCENT, regimes=[LAZY]), {"lazy"}),
        (Evidence(ascents=whole.ascents[:1]), {"initial", "early", "lazy"}),
        (Evidence(ascents=whole.ascents[1:]), set(CHECKS) - {"lazy"}),
    ]
    for evidence, expected in cases:
        assert {name for name, verdict in verdicts(evidence).items() if verdict == NOT_RUN} == expected


def diverged(found: FittedRegime, ways: Sequence[Ascent]) -> FittedRegime:
    """The first member of these ways is not there."""
    changed = dict(found.fitted)
    for way in ways:
        parts = {name: np.array(values) for name, values in vars(found.fitted[way]).items()}
        parts["products"][:, :1] = np.nan
        for name in ("steps", "trace", "last_norm", "norm"):
            parts[name][0] = np.nan
        changed[way] = replace(found.fitted[way], **parts)
    return replace(found, fitted=changed)


@pytest.mark.parametrize("ways", [[FEW], [DESCENT], list(WAYS)])
def test_a_member_that_diverged_leaves_claims_open(ways: list[Ascent]) -> None:
    evidence = Evidence(ascents=tuple(diverged(found, ways) for found in planted_evidence(stated()).ascents))
    assert verdicts(evidence) == dict.fromkeys(CHECKS, OPEN)


def test_few_members_leave_claims_open() -> None:
    findings: list[Finding] = [check(planted_evidence(stated(), members=5)) for check in CHECKS.values()]
    assert {finding.verdict for finding in findings} == {OPEN}
    assert all("5 members, an interval needs 6" in str(finding.numbers) for finding in findings)


@law(
    Mutation("a hundredth off", "sharpdiv.checks.ascents.results.array", lambda f: lambda values: 1.01 * f(values)),
    Mutation("what is missing is 0", "sharpdiv.checks.ascents.results.array", lambda f: lambda v: np.nan_to_num(f(v))),
    examples=6,
    seed=st.integers(0, 1000),
)
def test_results_survive_json(seed: int) -> None:
    found = diverged(planted(stated(), SUBTRACTED, seed=seed), [FEW])
    text = json.dumps(found.to_json(), allow_nan=False)
    again = FittedRegime.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert (again.name, again.regime, again.losses, list(again.fitted)) == (
        found.name,
        found.regime,
        found.losses,
        list(found.fitted),
    )
    for way, fitted in found.fitted.items():
        for name, values in vars(fitted).items():
            assert np.allclose(getattr(again.fitted[way], name), values, rtol=5e-5, atol=0, equal_nan=True)


def damaged(**changes: Any) -> dict[str, Any]:
    found = planted(stated(), members=6).to_json()
    return {"ascents": [found | {name: change(found[name]) for name, change in changes.items()}]}


@pytest.mark.parametrize(
    "value",
    [
        damaged(network=lambda network: network | {"depth": 3}),
        damaged(network=lambda network: {"kind": network["kind"]}),
        damaged(network=lambda network: network | {"members": 7}),
        damaged(regime=lambda _: {"beta": 1.0}),
        damaged(network=lambda network: network | {"losses": network["losses"][:2]}),
        damaged(fitted=lambda fitted: [{**fitted[0], "trace": fitted[0]["trace"][:5]}, *fitted[1:]]),
        damaged(fitted=lambda fitted: [{n: v for n, v in way.items() if n != "norm"} for way in fitted]),
        {"ascents": {"some": "thing"}},
    ],
)
def test_results_of_another_layout_or_size_are_refused(value: dict[str, Any], tmp_path: Path) -> None:
    save_json(tmp_path / "ascents.json", value)
    with pytest.raises(StoreError, match="is not of a layout that this version reads"):
        load_evidence(tmp_path)


TINY = Sweep(
    "tiny.json", (FittedNetwork("two-layer", "relu", 0.5, 12, (0.3, 0.1, 0.03), (DESCENT, FEW), (Regime(),), 2, 9),)
)


def swept(root: Path) -> dict[str, Any]:
    return {name: value for name, value in run_sweep(TINY, root, workers=1).items() if name != "provenance"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    run_sweep(TINY, folder, workers=1)
    return folder


def test_a_sweep_goes_on_to_the_same_bits(root: Path) -> None:
    before = swept(root)
    files = sorted(root.rglob("*.safetensors"))
    assert [path.stem for path in files] == ["1000", "1001"]
    kept, lost = (path.read_bytes() for path in files)
    files[1].unlink()
    assert [(plan.trained, plan.members) for plan in plan_sweep(TINY, root)] == [(1, 2)]
    assert swept(root) == before
    assert [path.read_bytes() for path in files] == [kept, lost]
    assert [(plan.trained, plan.seconds) for plan in plan_sweep(TINY, root)] == [(2, 0)]


def test_a_sweep_is_what_its_members_did(root: Path) -> None:
    (found,) = (FittedRegime.from_json(value) for value in swept(root)["ascents"])
    network = TINY.networks[0]
    problem, model = network.problem(), network.initialized(1001)
    largest = largest_eigenvalue(model, problem)
    alone = train_to_losses(
        model, problem, network.losses, rho=0.1 / largest, learning_rate=RATE / largest, m=1, seed=1001
    )
    errors = alone.predictions.double() - network.test_targets()
    assert found.fitted[FEW].steps[1] == pytest.approx(alone.steps.numpy(), rel=1e-4)
    assert found.fitted[FEW].trace[1] == pytest.approx(alone.trace.numpy(), rel=1e-4)
    assert found.fitted[FEW].last_norm[1] == pytest.approx(alone.squared_norms[:, 1].numpy(), rel=1e-4)
    assert found.fitted[FEW].products[:, 2] == pytest.approx(errors.square().sum((1, 2)).numpy() / 9, rel=1e-4)


def test_a_member_that_diverges_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*arguments: Any, seed: int, m: int | None, **options: Any) -> Any:
        if seed == 1001 and m:
            raise DivergenceError("far away")
        return train_to_losses(*arguments, seed=seed, m=m, **options)

    monkeypatch.setattr(sweeps, "train_to_losses", diverging)
    (found,) = (FittedRegime.from_json(value) for value in swept(tmp_path)["ascents"])
    assert np.isnan(found.fitted[FEW].trace[1]).all()
    assert np.isfinite(found.fitted[FEW].trace[0]).all()
    assert np.isnan(found.fitted[FEW].products).tolist() == [[False, True, True]] * 3
    assert np.isfinite(found.fitted[DESCENT].products).all()


def test_a_damaged_member_is_told(tmp_path: Path, root: Path) -> None:
    for path in root.rglob("*.safetensors"):
        copy = tmp_path / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError):
        run_sweep(TINY, tmp_path, workers=1)
