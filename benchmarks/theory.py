"""Closed forms against the sums that they need otherwise, and simulations against the obvious loop."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from benchmarks.plain_loop import simulate_plainly
from benchmarks.timing import Row, compared, in_turn
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.filters import phi
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import alternating_phi
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["rows"]


def rows() -> Iterator[Row]:
    """All of this file."""
    yield from _closed_forms()
    yield from _curves()
    yield _simulation("Theorem 1", np.linspace(0.01, 0.18, 20), blocks=1)
    yield _simulation("Theorem 2", np.linspace(0.4, 1.0, 20), blocks=10)


def _closed_forms() -> Iterator[Row]:
    """Settings of the paper's figures; the sums are of exact rationals, one rho at a time.

    Ours include three exact limits of the sharpness, which the sums do not give.
    """
    rho = np.linspace(0, 0.18, 200)

    def sums(ratio: float, *arguments: tuple[int, int]) -> Callable[[], object]:
        return lambda: [alternating_phi(i, j, ratio, 0.01, float(r)) for r in rho[::10] for i, j in arguments]

    spectrum = MarchenkoPastur(20.0)
    some = "alternating_sum_at_every_tenth"
    yield compared("phi, k = 3, 200 rho", 3, lambda: phi(6, 0, spectrum, 0.01, rho), **{some: sums(20.0, (6, 0))})
    of_sam = sums(20.0, (6, 0), (6, 2), (12, 4))
    yield compared("Theorem 1, k = 3, 200 rho", 3, lambda: sam_tradeoff(Setting(), rho), **{some: of_sam})
    of_blocks, setting = sums(2.0, *((i, j) for i in (5, 10) for j in range(3))), Setting(steps=5)
    ours = lambda: sharpbalance_tradeoff(setting, rho, blocks=10)  # noqa: E731
    yield compared("Theorem 2, k = 5, 10 blocks, 200 rho", 3, ours, **{some: of_blocks})


def _curves() -> Iterator[Row]:
    """Curves of the other models, in passes of Theorem 1's."""
    rho = np.linspace(0, 0.1, 200)
    baseline = lambda: sam_tradeoff(Setting(), rho)  # noqa: E731
    curves: dict[str, Callable[[], object]] = {
        "exact law at (3000, 150), k = 20, 50 rho": _exact_law,
        "random features, n = 600, 200 rho": lambda: random_feature_tradeoff(RandomFeatureSetting(), 4 * rho),
        "two-layer networks, 200 rho": lambda: two_layer_tradeoff(TwoLayerSetting(), rho),
        "diagonal networks, 200 rho": lambda: diagonal_tradeoff(DiagonalSetting(), rho),
    }
    for what, curve in curves.items():
        yield compared(what, 3, curve, Theorem_1_at_200_rho=baseline)


def _exact_law() -> object:
    setting = replace(Setting(), steps=20)
    return sam_tradeoff(setting, np.linspace(0, 0.1, 50), law=data_law(setting, finite=True))


def _simulation(name: str, rho: np.ndarray, blocks: int) -> Row:
    """The paper's simulations: 20 rho, 10 data draws, 100 initialisations; of the loop, which takes long, a tenth."""
    setting = Setting()

    def loop() -> object:
        return simulate_plainly(3000, 150, 3, 0.01, 0.1, 0.01, rho[::10].tolist(), 10, 100, seed=0, blocks=blocks)

    def ours() -> object:
        return simulate(setting, rho, blocks=blocks, draws=10, inits=100, seed=0)

    start = time.process_time()
    loop()
    seconds = time.process_time() - start
    what = f"simulation of {name}, 20 rho x 10 x 100"
    return Row(what, in_turn(3, ours=ours)["ours"], {"plain loop, of which a tenth was timed": 10 * seconds})
