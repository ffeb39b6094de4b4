"""Moments at finite (n, d), against zonal polynomials and laws of chi squared numbers."""

from fractions import Fraction
from math import comb, prod

import pytest
import sympy as sp
from hypothesis import strategies as st
from sympy.utilities.iterables import partitions

from sharpdiv.theory.symbolic import symbols, wishart
from tests.laws import Mutation, law


def complex_joint_moment(indices: tuple[int, ...]) -> sp.Expr:
    """The loop equation of complex Gaussian entries."""
    if not any(indices):
        return symbols.d ** len(indices)
    m, *rest = sorted(indices, reverse=True)
    total = symbols.n * complex_joint_moment((m - 1, *rest))
    total += sum(complex_joint_moment((j, m - 1 - j, *rest)) for j in range(1, m))
    for place, power in enumerate(rest):
        total += power * complex_joint_moment((m + power - 1, *rest[:place], *rest[place + 1 :]))
    return sp.expand(total / symbols.d)


COMPLEX = Mutation("complex entries", "sharpdiv.theory.symbolic.wishart.joint_moment", lambda _: complex_joint_moment)


sizes = st.integers(1, 6)


products_of_traces = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)


@law(COMPLEX, m=st.integers(1, 6), n=sizes, d=sizes)
def test_moments_of_one_trace_by_zonal_polynomials(m: int, n: int, d: int) -> None:
    """``E tr (G'G)^m`` as a sum over partitions (Jack polynomials at parameter 2), G an n x d standard normal matrix."""
    value = wishart.joint_moment((m,)).subs({symbols.n: n, symbols.d: d})
    assert value == sp.Rational(zonal_moment(m, n, d) / d**m)


def zonal_moment(m: int, n: int, d: int) -> Fraction:
    total = Fraction(0)
    for parts in partitions(m):
        rows = sorted((row for row, count in parts.items() for _ in range(count)), reverse=True)
        cells = [(i, j) for i, row in enumerate(rows) for j in range(row)]
        content = {(i, j): 2 * j - i for i, j in cells}
        arm = {(i, j): rows[i] - j - 1 for i, j in cells}
        leg = {(i, j): sum(row > j for row in rows) - i - 1 for i, j in cells}
        above = prod(content[c] for c in cells if c != (0, 0)) * prod(
            (d + content[c]) * (n + content[c]) for c in cells
        )
        total += Fraction(2 * m * above, prod((2 * arm[c] + leg[c] + 1) * (2 * arm[c] + leg[c] + 2) for c in cells))
    return total


@pytest.mark.slow
@law(COMPLEX, examples=20, indices=products_of_traces)
def test_the_norm_of_a_is_independent_of_its_direction(indices: tuple[int, ...]) -> None:
    """``t_1 = |A|^2`` is chi squared over d, so ``E[t_1 F] = (n d + 2 deg F) E[F] / d`` for F homogeneous in W."""
    degree = sum(indices)
    scaled = (symbols.n + 2 * degree / symbols.d) * wishart.joint_moment(indices)
    assert sp.expand(wishart.joint_moment((1, *indices)) - scaled) == 0


@pytest.mark.slow
@law(
    Mutation(
        "n + 1 rows",
        "sharpdiv.theory.symbolic.wishart.joint_moment",
        lambda f: lambda p: f(p).subs(symbols.n, symbols.n + 1),
    ),
    indices=products_of_traces,
)
def test_a_and_its_transpose_have_the_same_traces(indices: tuple[int, ...]) -> None:
    unscaled = sp.expand(symbols.d ** sum(indices) * wishart.joint_moment(indices))
    swapped = unscaled.subs({symbols.n: symbols.d, symbols.d: symbols.n}, simultaneous=True)
    assert sp.expand(swapped - unscaled) == 0


@law(COMPLEX, indices=products_of_traces)
def test_one_column_is_chi_squared(indices: tuple[int, ...]) -> None:
    """At d = 1 every trace is a power of one chi squared number with n degrees of freedom."""
    moments = prod((symbols.n + 2 * i for i in range(sum(indices))), start=sp.Integer(1))
    assert sp.expand(wishart.joint_moment(indices).subs(symbols.d, 1) - moments) == 0


@law(
    COMPLEX,
    Mutation(
        "n = (r + 1/d) d",
        "sharpdiv.theory.symbolic.wishart.joint_moment",
        lambda f: lambda p: f(p).subs(symbols.n, symbols.n + 1),
    ),
    Mutation(
        "C(m, l)^2 / m",
        "sharpdiv.theory.symbolic.moments.narayana",
        lambda _: lambda m, level: comb(m, level) ** 2 // m,
    ),
)
def test_the_leading_correction_sits_at_the_edges() -> None:
    assert wishart.finite_size().holds
