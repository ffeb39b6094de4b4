"""The improvement rate of SAM, without label noise and with it."""

from collections.abc import Callable

import pytest
import sympy as sp
from hypothesis import strategies as st

from sharpdiv.theory.symbolic import improvement, symbols
from tests.laws import Mutation, law


def averaged_bias(errors: Callable[..., tuple[sp.Expr, sp.Expr]]) -> Callable[..., tuple[sp.Expr, sp.Expr]]:
    return lambda *a: (errors(*a)[0], errors(*a)[0] / symbols.members)


@pytest.mark.slow
@law(
    Mutation("bias averaged out over members", "sharpdiv.theory.symbolic.improvement._errors", averaged_bias),
    Mutation("label noise", "sharpdiv.theory.symbolic.improvement._errors", lambda f: lambda k, _: f(k, symbols.noise)),
    Mutation(
        "rho without effect",
        "sharpdiv.theory.symbolic.improvement.phi_polynomial",
        lambda f: lambda i, j: f(i, j).subs(symbols.rho, 1),
    ),
    steps=st.integers(1, 3),
)
def test_without_noise_the_improvement_rate_ignores_rho(steps: int) -> None:
    assert improvement.eir_without_noise(steps).holds


@pytest.mark.slow
@law(
    Mutation("bias averaged out over members", "sharpdiv.theory.symbolic.improvement._errors", averaged_bias),
    Mutation(
        "no label noise", "sharpdiv.theory.symbolic.improvement._errors", lambda f: lambda k, _: f(k, sp.Integer(0))
    ),
    Mutation(
        "psi of twice the steps", "sharpdiv.theory.symbolic.improvement.psi_polynomial", lambda f: lambda k: f(2 * k)
    ),
    Mutation("tau(W^3) for tau(W^2)", "sharpdiv.theory.symbolic.improvement.moment", lambda f: lambda m: f(max(m, 3))),
    steps=st.integers(1, 3),
)
def test_with_noise_the_improvement_rate_falls(steps: int) -> None:
    assert improvement.eir_with_noise(steps).holds
