"""Results of the sweep over ascents in which effects are planted: as the claims state them, the other way round, or nowhere."""

from collections.abc import Callable, Sequence

import numpy as np

from sharpdiv.checks.ascents.networks import DESCENT, FULL_BATCH, Ascent, FittedNetwork, Regime
from sharpdiv.checks.ascents.results import Fitted, FittedRegime
from sharpdiv.checks.evidence import Evidence

__all__ = ["FEW", "LAZY", "SUBTRACTED", "WAYS", "Effect", "planted", "planted_evidence", "stated"]

FEW = Ascent(0.1, 1)
WAYS = (DESCENT, FULL_BATCH, FEW, Ascent(0.1, 4), Ascent(0.1, 16), Ascent(0.05, 1))
SUBTRACTED, LAZY = Regime(subtract_initial=True), Regime(alpha=10.0, subtract_initial=True)
_LOSSES = (0.3, 0.1, 0.03)

Effect = Callable[[Regime, Ascent, int], tuple[float, float, float]]
"""from regime, way to train and place of the loss to the changes of the logarithms of trace, diversity and last layer's norm"""


def stated(sign: float = 1.0) -> Effect:
    """What the claims say.

    Args:
        sign: 1; -1 for the opposite of everything, 0 for a method that does nothing.

    Returns:
        The effect.
    """

    def effect(regime: Regime, ascent: Ascent, level: int) -> tuple[float, float, float]:
        if not ascent.fraction or regime == LAZY:
            return 0.0, 0.0, 0.0
        size = sign * (8 * ascent.fraction / ascent.m if ascent.m else 0.02)
        diversity = -size if regime == Regime() else (-0.3 if level else 0.2) * size
        return -size, diversity, -size

    return effect


def planted(
    effect: Effect,
    regime: Regime = Regime(),  # noqa: B008
    ways: Sequence[Ascent] = WAYS,
    members: int = 8,
    seed: int = 0,
    noise: float = 0.004,
) -> FittedRegime:
    """One network in one regime.

    Args:
        effect: what SAM does there.
        regime: which regime.
        ways: ways to train.
        members: number of members.
        seed: seed of the noise, of which a part is the members' own and the same for all ways.
        noise: its standard deviation, of logarithms.

    Returns:
        The results.
    """
    generator = np.random.default_rng(seed)
    own = generator.standard_normal((3, members)) * 0.1
    found = {}
    for way in ways:
        values = own + noise * generator.standard_normal((3, members))
        changes = np.array([effect(regime, way, level) for level in range(len(_LOSSES))])
        trace, spread, norm = np.exp(values[:, :, None] + changes.T[:, None])
        found[way] = Fitted(
            products=np.stack([_products(column) for column in spread.T]),
            steps=np.full((members, len(_LOSSES)), 100.0),
            trace=trace,
            last_norm=norm,
            norm=2 * norm,
        )
    network = FittedNetwork("two-layer", "relu", 0.5, 160, _LOSSES, tuple(ways), (regime,), members)
    return FittedRegime(network, regime, found)


def _products(spread: np.ndarray) -> np.ndarray:
    """Inner products of errors, of one size, whose squared distances are products of the members' own spreads."""
    distance = 0.2 * np.sqrt(np.outer(spread, spread))
    products = 1 - distance * (1 - np.eye(len(spread)))
    return products[np.tril_indices(len(spread))]


def planted_evidence(effect: Effect, **options: object) -> Evidence:
    """The network in all three regimes.

    Args:
        effect: what SAM does.
        **options: as those of ``planted``.

    Returns:
        The evidence.
    """
    regimes = (Regime(), SUBTRACTED, LAZY)
    return Evidence(ascents=tuple(planted(effect, regime, **options) for regime in regimes))  # type: ignore[arg-type]
