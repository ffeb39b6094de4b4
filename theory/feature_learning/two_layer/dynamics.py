"""SAM on the small network: the very recursion of the large one, step by step, for all values of rho at once.

With ``delta = W'a - t``, ``g = lambda delta`` and ``u = W g`` one full-batch step is exactly

    ``a~ = a + rho u``, ``W~ = W + rho a g'``, ``g~ = lambda (W~'a~ - t)``, ``a <- a - eta W~ g~``, ``W <- W - eta a~ g~'``.

Groups of m of the samples take their own ascents. A mean over the groups keeps the pairs of samples within one group: of a
quadratic form in the samples it is ``1 - f`` parts the full batch and f parts its diagonal, which for many dimensions is the same
for every sample (``|x_i|^2 = d``). So the residuals' ascent gains ``f d (|a|^2 + p s_w^2) g``, a decays at the rate ``rho [(1 -
f) g'g~ + f d delta'g~]``, and W at ``rho f delta'g~ lambda``, up to relative errors of order 1/n.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpdiv.theory.feature_learning.two_layer.reduced import ReducedNetwork, reduced_network
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["TrainedNetwork", "train"]

_MOST_STEPS = 50_000
"""Steps after which gradient descent counts as not fitting."""
_PATIENCE = 10
"""SAM counts as not fitting after so many times the steps of gradient descent: its weights may also oscillate for ever."""
_STALLED = 1e-8
"""Relative change of the loss in a step below which it does not go on falling."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The small network after training; NaN where SAM does not fit the data.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.two_layer.dynamics import train
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> found = train(TwoLayerSetting(), np.array([0.0, 0.1, 50.0]))
        >>> found.fitted.tolist(), bool(found.norm[1] < found.norm[0])  # SAM shrinks |a|^2, and too much of it everything
        ([True, True, False], True)
    """

    output: Float[np.ndarray, "rho units"]
    """a"""
    hidden: Float[np.ndarray, "rho units directions"]
    """W, applied to the directions"""
    decay: Float[np.ndarray, " rho"]
    """sum of ``eta rho f delta'g~``: how far W has decayed where it did not learn, ``exp(-lambda decay)``"""
    loss: Float[np.ndarray, " rho"]
    """training loss"""
    steps: Int[np.ndarray, " rho"]
    """steps it took"""
    fitted: Bool[np.ndarray, " rho"]
    """whether the target loss was reached"""
    start: ReducedNetwork
    """what it was trained from"""

    @property
    def norm(self) -> Float[np.ndarray, " rho"]:
        """``|a|^2``."""
        return (self.output**2).sum(axis=-1)

    @property
    def moved(self) -> Float[np.ndarray, " rho"]:
        """``|a - a_0|^2``."""
        return ((self.output - self.start.output) ** 2).sum(axis=-1)

    def where(self, chosen: Bool[np.ndarray, " rho"]) -> "TrainedNetwork":
        """The networks at some of the rho."""
        return TrainedNetwork(
            self.output[chosen],
            self.hidden[chosen],
            self.decay[chosen],
            self.loss[chosen],
            self.steps[chosen],
            self.fitted[chosen],
            self.start,
        )


def train(setting: TwoLayerSetting, rho: Float[np.ndarray, " rho"]) -> TrainedNetwork:
    """Train the small network at every rho until its loss is at the target.

    Args:
        setting: the problem.
        rho: values of SAM's rho.

    Returns:
        The trained networks. ``fitted`` is False where the loss stalls above the target, overflows, or has not reached it after ten
        times the steps of gradient descent.

    Example: see ``TrainedNetwork``.
    """
    return _train(setting, rho, _patience(setting))


@lru_cache(maxsize=64)
def _patience(setting: TwoLayerSetting) -> int:
    """Steps after which SAM counts as not fitting."""
    return _PATIENCE * int(_train(setting, np.zeros(1), _MOST_STEPS).steps[0])


def _train(setting: TwoLayerSetting, rho: np.ndarray, most_steps: int) -> TrainedNetwork:
    start = reduced_network(setting)
    output, hidden = np.full((rho.size, *start.output.shape), np.nan), np.full((rho.size, *start.hidden.shape), np.nan)
    decay, loss, steps = np.full(rho.size, np.nan), np.full(rho.size, np.nan), np.zeros(rho.size, int)
    left = np.arange(rho.size)
    a, W = np.tile(start.output, (rho.size, 1)), np.tile(start.hidden, (rho.size, 1, 1))
    before, faded = np.full(rho.size, np.inf), np.zeros(rho.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(most_steps + 1):
            current = (start.curvature * (_applied(a, W) - start.target) ** 2).sum(axis=-1) / 2
            loss[left], steps[left] = current, step
            fits = current <= setting.target_loss
            ends = fits | ~np.isfinite(current) | (np.abs(current - before) <= _STALLED * current)
            if ends.any():
                done = left[fits]
                output[done], hidden[done], decay[done] = a[fits], W[fits], faded[fits]
                left, a, W, current, faded = left[~ends], a[~ends], W[~ends], current[~ends], faded[~ends]
            if not left.size:
                break
            before = current
            a, W, fading = _step(setting, rho[left], a, W, start)
            faded = faded + fading
    return TrainedNetwork(output, hidden, decay, loss, steps, loss <= setting.target_loss, start)


def _applied(a: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``W'a``, ``(rho, directions)``."""
    return np.asarray((a[:, None, :] @ W)[:, 0, :])


def _step(
    setting: TwoLayerSetting, rho: np.ndarray, a: np.ndarray, W: np.ndarray, start: ReducedNetwork
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of every network: a, W, and how far W decays everywhere."""
    f, d, eta, rho = setting.per_sample, setting.d, setting.learning_rate, rho[:, None]
    b = _applied(a, W)
    delta = b - start.target
    g = start.curvature * delta
    u = (W @ g[:, :, None])[:, :, 0]
    norm = (a**2).sum(axis=-1, keepdims=True)
    ahead = _applied(u, W) + (norm + rho * (b * g).sum(axis=-1, keepdims=True)) * g
    everywhere = d * (norm + setting.width * setting.first_variance) * g
    g_ahead = g + rho * ((1 - f) * start.curvature * ahead + f * everywhere)
    alone = f * (delta * g_ahead).sum(axis=-1, keepdims=True)
    shrink = rho * ((1 - f) * (g * g_ahead).sum(axis=-1, keepdims=True) + d * alone)
    following = a - eta * ((W @ g_ahead[:, :, None])[:, :, 0] + shrink * a)
    learned = W - (eta * (a + rho * (1 - f) * u))[:, :, None] * g_ahead[:, None, :]
    if f:
        learned -= W * (eta * rho * alone * start.curvature)[:, None, :]
    return following, learned, (eta * rho * alone)[:, 0]
