"""Laws of the Narayana numbers."""

from fractions import Fraction
from math import comb

from hypothesis import strategies as st

from sharpdiv.theory.spectra import narayana
from tests.laws import Mutation, law


@law(
    Mutation("C(m, l)^2 / m", "sharpdiv.theory.spectra.narayana.narayana", lambda _: lambda m, k: comb(m, k) ** 2 // m),
    m=st.integers(1, 30),
)
def test_narayana_numbers_sum_to_catalan_and_are_symmetric(m: int) -> None:
    row = [narayana.narayana(m, level) for level in range(1, m + 1)]
    assert sum(row) == comb(2 * m, m) // (m + 1)
    assert row == row[::-1]


@law(
    Mutation(
        "rho's square taken off last",
        "sharpdiv.theory.spectra.narayana.filter_polynomial",
        lambda f: lambda i, j, eta, rho: [*f(i, j, eta, rho)[:-1], Fraction(0)],
    ),
    Mutation(
        "one factor less",
        "sharpdiv.theory.spectra.narayana.filter_polynomial",
        lambda f: lambda i, j, eta, rho: [*f(max(i - 1, 0), j, eta, rho), Fraction(0), Fraction(0)],
    ),
    i=st.integers(0, 12),
    j=st.integers(0, 4),
    eta=st.fractions(Fraction(1, 100), 2, max_denominator=10**6),
    rho=st.fractions(Fraction(1, 100), 3, max_denominator=10**6),
)
def test_the_filter_is_the_product_of_its_factors(i: int, j: int, eta: Fraction, rho: Fraction) -> None:
    """Multiplied out one factor after the other, in exact fractions."""
    none = Fraction(0)
    product = [none] * j + [Fraction(1)]
    for _ in range(i):
        terms = zip([*product, none, none], [none, *product, none], [none, none, *product], strict=True)
        product = [last - eta * before - eta * rho * second for last, before, second in terms]
    assert narayana.filter_polynomial(i, j, eta, rho) == product
