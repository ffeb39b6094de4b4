"""The models side by side: curves are the models' own, and measured networks are shown where there are any."""

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from numpy.testing import assert_allclose

from sharpdiv.checks.ascents.changes import changes, few_samples
from sharpdiv.checks.ascents.networks import DESCENT, SWEEPS, Ascent, Regime
from sharpdiv.checks.ascents.results import Fitted, FittedRegime
from sharpdiv.checks.closed_forms.models import MODELS, NAMES
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife
from sharpdiv.figures.style import style
from sharpdiv.figures.theory import models

NETWORK = SWEEPS["quick"].networks[0]


def fitted_regime(seed: int) -> FittedRegime:
    """A network of eight members whose errors, trace and norms are drawn."""
    rng = np.random.default_rng(seed)

    def fitted(scale: float) -> Fitted:
        levels, members = len(NETWORK.losses), 8
        errors = 1 + scale * rng.standard_normal((levels, members, 50))
        products = errors @ errors.transpose(0, 2, 1) / 50
        rows, columns = np.tril_indices(members)
        values = scale * rng.uniform(1, 1.1, (4, members, levels))
        return Fitted(products[:, rows, columns], *values)

    return FittedRegime(NETWORK, Regime(), {DESCENT: fitted(0.5), Ascent(0.1, 1): fitted(0.4)})


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One model, at three values of rho; what is kept is of no other values."""
    monkeypatch.setattr(models, "MODELS", MODELS[:1])
    monkeypatch.setattr(models, "_SHARES", np.array([0.1, 0.3, 0.5]))
    models._changes.cache_clear()
    yield
    models._changes.cache_clear()


def test_curves_are_relative_changes() -> None:
    with style():
        panels = models.draw(Evidence()).axes
    assert len(panels) == 5
    shown = [np.array(line.get_ydata()) for line in panels[0].get_lines()[: len(NAMES)]]
    expected = MODELS[0].changes(np.array([0.1, 0.3, 0.5]))
    for line, name in zip(shown, NAMES, strict=True):
        assert_allclose(line, np.append(0, np.exp(expected[name]) - 1), atol=1e-12)


def test_measured_networks_are_drawn_beside() -> None:
    found = fitted_regime(0)
    few = few_samples(found)
    assert few == Ascent(0.1, 1)
    with style():
        panels = models.draw(Evidence(ascents=(found,))).axes
    assert len(panels) == 6
    bars = [each for each in panels[5].containers if isinstance(each, ErrorbarContainer)]
    for bar, name in zip(bars, ("trace", "diversity", "eir"), strict=True):
        change = jackknife("", changes(found, few, name))
        assert_allclose(np.array(bar.lines[0].get_ydata(), float), [np.exp(change.value) - 1])
        ends = np.array(bar.lines[2][-1].get_segments())[0, :, 1]
        assert_allclose(ends, np.exp([change.low, change.high]) - 1)
