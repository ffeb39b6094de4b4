"""The very training of two-layer linear networks in NumPy: every member and every group's ascent at once."""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["sam_step", "train_networks"]

_MOST_STEPS = 50_000
_STALLED = 1e-8
"""Relative change of every loss in a step below which none goes on falling."""


def sam_step(
    setting: TwoLayerSetting,
    rho: float | Float[np.ndarray, "members groups"],
    inputs: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "members n"],
    output: Float[np.ndarray, "members p"],
    hidden: Float[np.ndarray, "members p d"],
) -> tuple[Float[np.ndarray, "members p"], Float[np.ndarray, "members p d"]]:
    """One step of un-normalized SAM, whose groups of m rows of X ascend along their own mean gradients.

    Args:
        setting: learning rate and m.
        rho: SAM's rho, or one for each group of each member: SharpBalance has 0 where a member does not ascend.
        inputs: X; group j are its rows from ``j m`` on.
        targets: y of every member.
        output: a of every member.
        hidden: W of every member.

    Returns:
        a and W after the step.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.training import sam_step
        >>> setting, one = TwoLayerSetting(n=1, d=2, width=1, learning_rate=1.0), np.ones((1, 1))
        >>> a, W = sam_step(setting, 0.0, np.array([[1.0, 0.0]]), 0 * one, one, np.ones((1, 1, 2)))
        >>> a.tolist(), W.tolist()  # the gradient is 1 for both weights that the sample sees
        ([[0.0]], [[[0.0, 1.0]]])
    """
    groups = inputs.reshape(-1, setting.group, inputs.shape[1])
    y = targets.reshape(len(targets), len(groups), 1, -1)

    def gradients(predictor: np.ndarray) -> np.ndarray:
        """Of each group's loss by the predictor W'a, ``(members, groups, d)``."""
        residual = predictor[:, :, None, :] @ groups.transpose(0, 2, 1) - y
        return np.asarray((residual @ groups / setting.group)[:, :, 0])

    predictor = (output[:, None] @ hidden)[:, 0]
    v = gradients(np.broadcast_to(predictor[:, None], (len(targets), len(groups), predictor.shape[1])))
    radius = np.broadcast_to(rho, v.shape[:2])[:, :, None]
    ascent = radius * v @ hidden.transpose(0, 2, 1)  # rho W v: (members, groups, p)
    overlap = (ascent + output[:, None]) @ output[:, :, None]  # a'(a + rho W v)
    v_ahead = gradients(predictor[:, None] + ascent @ hidden + radius * overlap * v)
    shrink = (radius * v * v_ahead).sum(axis=-1).mean(axis=-1)
    by_output = (hidden @ v_ahead.mean(axis=1)[:, :, None])[:, :, 0] + shrink[:, None] * output
    by_hidden = (output[:, None] + ascent).transpose(0, 2, 1) @ v_ahead / len(groups)
    return output - setting.learning_rate * by_output, hidden - setting.learning_rate * by_hidden


def train_networks(
    setting: TwoLayerSetting,
    rho: float | Float[np.ndarray, "members groups"],
    inputs: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "members n"],
    output: Float[np.ndarray, "members p"],
    hidden: Float[np.ndarray, "members p d"],
) -> tuple[Float[np.ndarray, "members p"], Float[np.ndarray, "members p d"]]:
    """Train every member until its own loss is at the setting's target.

    Args:
        setting: learning rate, m and target loss.
        rho: SAM's rho, or one for each group of each member.
        inputs: X.
        targets: y of every member.
        output: a of every member at first.
        hidden: W of every member at first.

    Returns:
        a and W of the trained members.

    Raises:
        DomainError: if the loss of a member overflows or stalls above the target.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.training import train_networks
        >>> setting, one = TwoLayerSetting(n=1, d=2, width=1), np.ones((1, 1))
        >>> a, W = train_networks(setting, 0.1, np.array([[1.0, 0.0]]), 2 * one, one, np.ones((1, 1, 2)))
        >>> (a[:, 0] * W[:, 0, 0]).round(3).tolist(), W[:, 0, 1].tolist()  # fits 2; what no sample shows stays
        ([2.0], [1.0])
    """
    output, hidden = output.copy(), hidden.copy()
    left, before = np.arange(len(output)), np.full(len(output), np.inf)
    radius = np.broadcast_to(rho, (len(output), setting.n // setting.group))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_MOST_STEPS):
            residual = (output[left, None] @ hidden[left])[:, 0] @ inputs.T - targets[left]
            loss = (residual**2).mean(axis=1) / 2
            going = ~(loss <= setting.target_loss)
            if not going.any():
                return output, hidden
            left, loss = left[going], loss[going]
            if not np.all(np.isfinite(loss)) or np.all(np.abs(loss - before[left]) <= _STALLED * loss):
                break
            before[left] = loss
            output[left], hidden[left] = sam_step(
                setting, radius[left], inputs, targets[left], output[left], hidden[left]
            )
    raise DomainError(
        f"SAM does not fit the data at rho = {np.max(rho):g}, learning rate {setting.learning_rate:g}: the loss of a member is "
        f"{loss.max():.3g}; lower rho, the learning rate or the scale of the initialization"
    )
