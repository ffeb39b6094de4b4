"""The word calculus of freeness, against matrices."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import strategies as st

from sharpdiv.theory.symbolic import phi, symbols, wishart, words
from sharpdiv.theory.symbolic.words import Letter
from tests.laws import Mutation, law
from tests.theory.symbolic.wrong import INDEPENDENT, MORE_STEPS, UNMERGED, at, gram


def filtered(block: int) -> Letter:
    """A of one block."""
    return Letter(block, filters=1, data=0)


POWERS_OF_S = Mutation(
    "s^k for the falling factorial",
    "sharpdiv.theory.symbolic.words.falling",
    lambda _: lambda levels: sum(symbols.s**k * level for k, level in levels.items()),
)


powers = st.integers(0, 2)


@law(INDEPENDENT, UNMERGED, a=powers, b=powers, x=st.integers(1, 2), y=st.integers(1, 2))
def test_four_alternating_letters(a: int, b: int, x: int, y: int) -> None:
    """``tau(a x b y) = tau(ab) tau(x) tau(y) + tau(a) tau(b) tau(xy) - tau(a) tau(b) tau(x) tau(y)``, a and b free of x and y."""
    first, second = Letter(0, a, 1), Letter(0, 0, b)
    word = (first, gram(1, x), second, gram(1, y))
    t1, t2, t12 = (words.block_moment(u.filters, u.data) for u in (first, second, first * second))
    w1, w2, w12 = (words.block_moment(0, power) for power in (x, y, x + y))
    assert sp.expand(words.trace(word) - (t12 * w1 * w2 + t1 * t2 * w12 - t1 * t2 * w1 * w2)) == 0


@law(INDEPENDENT, UNMERGED, POWERS_OF_S)
def test_blocks_add_up() -> None:
    assert words.blocks_add_up().holds


@law(INDEPENDENT, a=st.integers(1, 3), b=st.integers(1, 3))
def test_words_in_two_wishart_matrices(a: int, b: int) -> None:
    """Exact at finite (n, d): ``E[W_2 B W_2] = (n (n+1) B + n tr(B) I) / d^2`` for a fixed symmetric B."""
    n, d = symbols.n, symbols.d
    same, apart = wishart.joint_moment((a + b,)), wishart.joint_moment((a, b))
    exact = sp.expand((n * (n + 1) * same + n * apart) / d**3).subs(n, symbols.r1 * d)
    word = (gram(0, a), gram(1), gram(0, b), gram(1))
    assert sp.expand(exact).coeff(d, 0) == words.trace(word)


@pytest.mark.slow
@law(INDEPENDENT, MORE_STEPS)
def test_words_in_filters_of_random_matrices() -> None:
    """Monte Carlo at d = 60 and 120, extrapolated to remove the error of order 1/d.

    400 and 200 draws give standard errors of 0.0019, 0.0065 and 0.0032; 4 of them are allowed. What is left at order
    1/d^2 is far smaller, and classical independence is 25 to 70 standard errors away.
    """
    chosen = (
        (filtered(0), gram(1), gram(0), filtered(1)),
        (filtered(0), gram(1), filtered(0), gram(1)),
        (filtered(0), gram(1), gram(0), filtered(1), gram(2)),
    )
    (coarse, coarse_error), (fine, fine_error) = (
        measured_traces(chosen, d, draws) for d, draws in ((60, 400), (120, 200))
    )
    limit, error = 2 * fine - coarse, np.hypot(2 * fine_error, coarse_error)
    assert np.all(np.abs(limit - [in_numbers(words.trace(word)) for word in chosen]) <= 4 * error), (limit, error)


FILTER = (Fraction(3, 2), Fraction(3, 20), Fraction(3, 10))  # r1, eta, rho of the Monte Carlo, where k = 2


def measured_traces(words: tuple[tuple[Letter, ...], ...], d: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean normalized trace of each word over draws of three blocks, and its standard error."""
    ratio, rate, rho = map(float, FILTER)
    rng, values = np.random.default_rng(0), []
    for _ in range(draws):
        data = rng.standard_normal((3, round(ratio * d), d)) / np.sqrt(d)
        blocks = data.swapaxes(1, 2) @ data
        filters = np.linalg.matrix_power(np.eye(d) - rate * blocks - rate * rho * blocks @ blocks, 2)
        products = [np.linalg.multi_dot([(filters if u.filters else blocks)[u.block] for u in word]) for word in words]
        values.append([np.trace(product) / d for product in products])
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(draws)


def in_numbers(expression: sp.Expr) -> float:
    moments = {words.block_moment(p, j): at(phi.phi_polynomial(2 * p, j), *FILTER) for p in (1, 2) for j in (0, 1)}
    return float(expression.subs({**moments, symbols.r1: sp.Rational(FILTER[0])}))
