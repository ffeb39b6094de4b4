"""The scalar channel solves its equation and is the gradient of its potential."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.diagonal import channel
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM


def weights(change: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda f: lambda u, a, tilt: change(u, a, tilt, *f(u, a, tilt))


WITHOUT_TILT = Mutation(
    "slope of the untilted", f"{ROOM}.channel._weights", weights(lambda u, a, c, x, _, s: (x, 2 * s * np.cosh(u), s))
)


@law(
    Mutation("sinh u for 2 sinh u", f"{ROOM}.channel._weights", weights(lambda u, a, c, x, r, s: (x / 2, r / 2, s))),
    WITHOUT_TILT,
    scale=st.floats(1e-6, 1e4),
    threshold=st.floats(1e-3, 1e3),
    tilt=st.floats(0, 5),
)
def test_the_channel_is_solved(scale: float, threshold: float, tilt: float) -> None:
    v = np.array([0.0, 1e-3, 0.3, 2.0, 9.0])
    found, step = channel.hypentropy(v, np.array(scale), threshold, tilt), 1e-5 * (1e-2 + v)
    x, u = found.estimate, found.dual
    assert x == pytest.approx(2 * scale * np.sinh(u) / np.sqrt(1 + 2 * tilt * u**2), rel=1e-9)
    assert x + threshold * u == pytest.approx(v, rel=1e-10, abs=1e-14)
    ahead, behind = (channel.hypentropy(v + s, np.array(scale), threshold, tilt) for s in (step, 0 * step))
    assert (ahead.estimate - behind.estimate) / step == pytest.approx(found.slope, rel=1e-2, abs=1e-6)


@law(
    Mutation(
        "conjugate of the curvature itself",
        f"{ROOM}.channel.Response.conjugate",
        lambda _: property(lambda self: self.curvature / 4),
    ),
    Mutation(
        "potential without its conjugate",
        f"{ROOM}.channel.Response.potential",
        lambda _: property(lambda self: self.estimate * self.dual / 4),
    ),
    scale=st.floats(1e-4, 1e2),
)
def test_potential_and_curvature_belong_to_the_estimate(scale: float) -> None:
    """Q(x) is the integral of its derivative u/4, and the second derivative's inverse is 4 (w_+^2 + w_-^2)."""
    found = channel.hypentropy(np.linspace(0, 5, 2001), np.array(scale), 1.0)
    integral = np.append(0, np.cumsum(np.diff(found.estimate) * (found.dual[1:] + found.dual[:-1]) / 8))
    assert found.potential == pytest.approx(integral, rel=1e-4, abs=1e-5 * integral[-1])
    assert found.curvature == pytest.approx(np.sqrt(found.estimate**2 + 4 * scale**2))
    assert found.potential + found.conjugate == pytest.approx(found.estimate * found.dual / 4)
