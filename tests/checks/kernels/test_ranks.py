"""Rank correlation: against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from sharpdiv.checks.kernels.ranks import spearman


def test_spearman_is_scipys() -> None:
    x, y = np.random.default_rng(4).integers(4, size=(2, 20, 6)).astype(float)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert spearman(x, y) == pytest.approx(np.array(expected), rel=1e-9)
    assert spearman(x, np.ones((20, 6))) == pytest.approx(np.zeros(20), abs=0)
