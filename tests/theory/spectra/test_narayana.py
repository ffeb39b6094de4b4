"""Laws of the Narayana numbers."""

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
