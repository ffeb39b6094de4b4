"""Solvable models beside planted networks: who has the signs, and what share of the change of D is explained."""

from dataclasses import replace

import numpy as np
import pytest

from sharpdiv.checks.ascents import models
from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.closed_forms.models import MODELS
from sharpdiv.checks.evidence import Evidence
from tests.checks.ascents.fitted_worlds import planted_evidence, stated
from tests.laws import Mutation, law

BY_NORM = "share of the squared changes of log D that the last layer's norm explains"


@law(
    Mutation(
        "the norm of all layers", "sharpdiv.checks.ascents.models._share", lambda f: lambda p, w: f(p * [1, 2], w)
    ),
    Mutation(
        "the trace for the norm",
        "sharpdiv.checks.ascents.models.changes",
        lambda f: lambda found, few, quantity: f(found, few, quantity) * (2 if quantity == "last_norm" else 1),
    ),
)
def test_a_norm_that_moves_like_d_explains_all_of_it() -> None:
    """Planted changes are equal, and .8; the noise of .004 over 8 members is .002."""
    finding = models.model_signs(planted_evidence(stated()))
    assert finding.verdict == Verdict.HOLDS
    assert finding.confirmed is False
    for part in finding.texts[BY_NORM].split(", "):
        assert float(part.split()[0]) == pytest.approx(1, abs=1e-3)


def test_a_lazy_network_with_the_signs_would_refute_it(monkeypatch: pytest.MonkeyPatch) -> None:
    quadratic = replace(MODELS[0], curves=MODELS[-2].curves)
    monkeypatch.setattr(models, "MODELS", (quadratic, *MODELS[1:]))
    assert models.model_signs(planted_evidence(stated())).verdict == Verdict.FAILS


def test_a_model_that_loses_the_signs_would_refute_it(monkeypatch: pytest.MonkeyPatch) -> None:
    diagonal = replace(MODELS[-2], curves=MODELS[1].curves)
    monkeypatch.setattr(models, "MODELS", (*MODELS[:-2], diagonal, MODELS[-1]))
    assert models.model_signs(planted_evidence(stated())).verdict == Verdict.FAILS


def test_at_a_models_own_trace_is_its_own_diversity() -> None:
    for trace, diversity in models._curves().values():
        for place in (0, 40, 95):
            assert models._at((trace, diversity), trace[place]) == pytest.approx(diversity[place], abs=1e-12)
        assert models._at((trace, diversity), 2 * trace[-1]) == pytest.approx(2 * diversity[-1])
        assert models._at((trace, diversity), 0.1) == 0  # a trace that rises


def test_nothing_is_said_of_nothing() -> None:
    assert models.model_signs(Evidence()).verdict == Verdict.NOT_RUN
    still = models.model_signs(planted_evidence(stated(0.0), noise=0.0))
    assert "nothing to explain in all networks" in still.texts[BY_NORM]
    assert np.isfinite([effect.estimate for effect in still.effects]).all()
