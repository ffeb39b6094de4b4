"""Solvable models beside planted networks: who has the signs, and what they make of the change of D."""

import numpy as np
import pytest

from sharpdiv.checks.ascents import models
from sharpdiv.checks.ascents.networks import Ascent, Regime
from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.closed_forms.models import MODELS
from sharpdiv.checks.evidence import Evidence
from tests.checks.ascents.fitted_worlds import FEW, planted, planted_evidence, stated
from tests.laws import Mutation, law

CURVES = models._curves()


def found(trace: float, diversity: float, norm: float) -> Finding:
    """What is found of one network in which SAM with ascents of one sample does this, to 1e-9."""

    def effect(_: Regime, ascent: Ascent, __: int) -> tuple[float, float, float]:
        return (trace, diversity, norm) if ascent == FEW else (0.0, 0.0, 0.0)

    return models.model_signs(Evidence(ascents=(planted(effect, noise=1e-9),)))


def sizes(finding: Finding) -> list[str]:
    (text,) = (value for label, value in finding.texts.items() if label.endswith("alpha = 1: change of log D"))
    return text.split(", ")


@law(
    Mutation(
        "the trace for the norm",
        "sharpdiv.checks.ascents.models.changes",
        lambda f: lambda a, b, quantity: f(a, b, "trace" if quantity == "last_norm" else quantity),
    ),
    Mutation(
        "the model's EIR for its D",
        "sharpdiv.checks.ascents.models._curves",
        lambda f: lambda: {name: (trace, eir, d) for name, (trace, d, eir) in f().items()},
    ),
)
def test_every_network_is_beside_what_the_models_make_of_it() -> None:
    trace, diversity, _ = CURVES["diagonal linear, m = 1"]
    finding = found(float(trace[40]), -0.2, -0.3)
    assert (finding.verdict, finding.confirmed) == (Verdict.HOLDS, False)
    measured, by_norm, *_, by_trace = sizes(finding)
    assert (measured, by_norm.split()[0]) == ("-0.2 measured", "-0.3")
    assert float(by_trace.split()[0]) == pytest.approx(diversity[40], rel=1e-3)  # four digits are shown


def test_beyond_a_models_stable_range_it_says_nothing() -> None:
    assert sizes(found(-2.0, -0.2, -0.3))[2:] == [
        "two-layer linear networks are not stable at that trace",
        "diagonal linear networks are not stable at that trace",
    ]


def test_a_model_without_the_signs_refutes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rising = {name: (trace, -diversity, eir) for name, (trace, diversity, eir) in CURVES.items()}
    monkeypatch.setattr(
        models, "_curves", lambda: {**CURVES, "diagonal linear, m = 1": rising["diagonal linear, m = 1"]}
    )
    finding = models.model_signs(planted_evidence(stated()))
    assert (finding.verdict, finding.reason) == (Verdict.FAILS, "not all three fall in diagonal linear, m = 1")


def test_the_curves_are_the_models_of_the_table() -> None:
    """At half the critical rho, where what is kept has a point: but for rounding."""
    found = [model for model in MODELS if model.name in models._LEARNING]
    assert len(found) == len(models._LEARNING)
    for model in found:
        expected = model.changes(np.array([0.5]))
        assert models._changes(model)[1:] == pytest.approx([expected["diversity"][0], expected["eir"][0]], rel=1e-9)


def test_nothing_is_said_of_nothing() -> None:
    assert models.model_signs(Evidence()).verdict == Verdict.NOT_RUN
