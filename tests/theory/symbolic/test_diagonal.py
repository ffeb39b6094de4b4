"""Proofs of the diagonal network's mirror flow, and wrong formulas they reject."""

from collections.abc import Callable

import sympy as sp

from sharpdiv.theory.symbolic import diagonal
from tests.laws import Mutation, law

PLACE = "sharpdiv.theory.symbolic.diagonal"


@law(
    Mutation("both weights on one side", f"{PLACE}._sam_velocity", lambda f: lambda *args: (f(*args)[0], f(*args)[0])),
    Mutation("descent of the loss at the weights", f"{PLACE}._sam_velocity", lambda f: lambda g, _: f(g, g)),
    Mutation("ascent and descent swapped", f"{PLACE}._sam_velocity", lambda f: lambda g, ahead: f(ahead, g)),
)
def test_sam_shrinks_alpha_exactly() -> None:
    assert diagonal.sam_shrinks_alpha().holds


def without_constant(potential: Callable[[sp.Expr], sp.Expr]) -> Callable[[sp.Expr], sp.Expr]:
    return lambda beta: potential(beta) / 2


@law(
    Mutation("half the potential", f"{PLACE}._potential", without_constant),
    Mutation("conjugate of 2h", f"{PLACE}._conjugate", lambda f: lambda h: f(h / 2)),
)
def test_the_end_is_stationary_for_the_hypentropy() -> None:
    assert diagonal.hypentropy_end().holds


@law(
    Mutation("conjugate of 2h", f"{PLACE}._conjugate", lambda f: lambda h: f(h / 2)),
    Mutation("twice the conjugate", f"{PLACE}._conjugate", lambda f: lambda h: 2 * f(h)),
)
def test_distances_add_up_along_the_flow() -> None:
    assert diagonal.flow_pythagoras().holds


@law(Mutation("alpha as it was", f"{PLACE}.sp.exp", lambda _: lambda x: 1 - x))
def test_a_common_fall_flattens() -> None:
    assert diagonal.common_fall_flattens().holds
