"""The scalar channel of one coordinate: what a member makes of the teacher's coordinate and Gaussian noise.

The interpolator minimizes a separable potential, so that in the proportional limit its coordinate is a function of a scalar
observation v: ``x(u) + theta u = v`` with the dual variable u and ``x = 2 a^2 sinh u`` (hypentropy; a is the coordinate's alpha
at the end of training).
What SAM's effect has of the full batch shrinks a coordinate the more the larger its u is, ``x = 2 a^2 sinh u / sqrt(1 + 2 tilt
u^2)``: derived to first order in the tilt, and written so that x rises with u at any.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import ConvergenceError

__all__ = ["Response", "hypentropy"]

_STEPS = 100


@dataclass(frozen=True)
class Response:
    """The channel's output.

    Example: see ``hypentropy``.
    """

    estimate: Float[np.ndarray, "*shape"]
    """x, the coordinate of beta at the end"""
    dual: Float[np.ndarray, "*shape"]
    """u = log(w_+ / w_-)"""
    slope: Float[np.ndarray, "*shape"]
    """dx/dv"""
    scale: Float[np.ndarray, "*shape"]
    """alpha^2 = w_+ w_- at the end"""

    @property
    def curvature(self) -> Float[np.ndarray, "*shape"]:
        """``w_+^2 + w_-^2 = 2 alpha^2 cosh u``, a quarter of the Hessian's share of this coordinate."""
        return 2 * self.scale * np.cosh(self.dual)

    @property
    def conjugate(self) -> Float[np.ndarray, "*shape"]:
        """``(w_+^2 + w_-^2 - 2 alpha^2)/4 = alpha^2 (cosh u - 1)/2``, the potential's convex conjugate at u/4."""
        return self.scale * np.sinh(self.dual / 2) ** 2

    @property
    def potential(self) -> Float[np.ndarray, "*shape"]:
        """Q, the hypentropy potential ``(x u - w_+^2 - w_-^2 + 2 alpha^2)/4``."""
        return self.estimate * self.dual / 4 - self.conjugate


def hypentropy(
    observation: Float[np.ndarray, "*#shape"], scale: Float[np.ndarray, "*#shape"], threshold: float, tilt: float = 0.0
) -> Response:
    """Solve ``2 scale sinh u / sqrt(1 + 2 tilt u^2) + threshold u = observation`` for u, elementwise.

    Args:
        observation: v, non-negative (the function is odd).
        scale: alpha^2, before the tilt.
        threshold: theta, positive.
        tilt: c; 0 for the hypentropy itself.

    Returns:
        The output, of the broadcast shape.

    Raises:
        ConvergenceError: if Newton's method, kept in a bracket, has not converged.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.diagonal.channel import hypentropy
        >>> found = hypentropy(np.array([0.0, 3.0]), np.array(0.5), 1.0)
        >>> found.estimate.round(4).tolist(), (found.estimate + 1.0 * np.arcsinh(found.estimate)).round(6).tolist()
        ([0.0, 1.6995], [0.0, 3.0])
    """
    v, a = np.broadcast_arrays(observation, scale)
    low, high = np.zeros(v.shape), v / threshold
    u = np.minimum(
        np.arcsinh(v / (2 * a)), high
    )  # from above where there is no tilt: Newton's method descends to the root
    for _ in range(_STEPS):
        x, rise, _ = _weights(u, a, tilt)
        excess = x + threshold * u - v
        low, high = np.where(excess < 0, u, low), np.where(excess > 0, u, high)
        following = u - excess / (rise + threshold)
        inside = (following >= low) & (following <= high)
        following = np.where(inside, following, (low + high) / 2)
        moved = np.abs(following - u)
        u = following
        if np.all(moved <= 1e-13 * (1 + u)):
            x, rise, damped = _weights(u, a, tilt)
            return Response(x, u, rise / (rise + threshold), damped)
    raise ConvergenceError(f"the channel was not solved: u still moves by {moved.max():.1e} after {_STEPS} steps")


def _weights(
    u: Float[np.ndarray, "*shape"], scale: Float[np.ndarray, "*shape"], tilt: float
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """x, dx/du and alpha^2 at the end."""
    share = 1 + 2 * tilt * u**2
    damped = scale / np.sqrt(share)
    x = 2 * damped * np.sinh(u)
    return x, 2 * damped * np.cosh(u) - 2 * tilt * u / share * x, damped
