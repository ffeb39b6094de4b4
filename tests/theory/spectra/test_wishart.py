"""Exact moments at finite (n, d): two derivations against each other, laws known by hand, and the Gauss rule made of them."""

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.checks.closed_forms.partitions import partition_moment
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.spectra import wishart
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import filter_polynomial, moment
from sharpdiv.theory.spectra.wishart import FiniteWishart
from tests.laws import Mutation, law

sizes = st.integers(1, 9)
THIRD = Mutation(
    "third coefficient of the next order",
    "sharpdiv.theory.spectra.wishart._power_sums",
    lambda f: lambda n, d: (*f(n, d)[:5], *(x + n * d for x in f(n, d)[5:])),
)
ONCE = Mutation(
    "p in place of 2 p",
    "sharpdiv.theory.spectra.wishart._Traces._expand",
    lambda f: (
        lambda self, m, rest: (
            f(self, m, rest) - sum(p * self.product((m + p - 1, *rest[:i], *rest[i + 1 :])) for i, p in enumerate(rest))
        )
    ),
)
COMPLEX = Mutation(
    "complex entries: n in place of n + m - 1",
    "sharpdiv.theory.spectra.wishart._Traces._expand",
    lambda f: lambda self, m, rest: f(self, m, rest) - (m - 1) * self.product((m - 1, *rest)),
)


@pytest.fixture(autouse=True)
def _no_memory() -> Any:
    """Mutations must not find, or leave, remembered values."""
    caches = (wishart._power_sums, wishart._traces, wishart._gauss)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def fresh_joint(powers: tuple[int, ...], n: int, d: int) -> Fraction:
    wishart._traces.cache_clear()
    return wishart.joint_moment(powers, n, d)


@law(THIRD, examples=60, m=st.integers(0, 40), n=st.integers(1, 2000), d=st.integers(1, 2000))
def test_the_recurrence_is_the_sum_over_partitions(m: int, n: int, d: int) -> None:
    assert wishart.wishart_moment(m, n, d) == partition_moment(m, n, d)


@pytest.mark.parametrize(("m", "n", "d"), [(170, 1, 100), (170, 10**9, 100), (169, 37, 41), (133, 5, 5)])
def test_the_recurrence_holds_up_to_the_largest_moment(m: int, n: int, d: int) -> None:
    assert wishart.wishart_moment(m, n, d) == partition_moment(m, n, d)


@law(THIRD, COMPLEX, m=st.integers(0, 14), n=sizes, d=sizes)
def test_the_recurrence_is_integration_by_parts(m: int, n: int, d: int) -> None:
    assert wishart.wishart_moment(m, n, d) == fresh_joint((m,), n, d) / d


@law(THIRD, m=st.integers(0, 30), n=st.integers(1, 40))
def test_in_one_dimension_the_law_is_chi_square(m: int, n: int) -> None:
    assert wishart.wishart_moment(m, n, 1) == prod(n + 2 * i for i in range(m))


@law(
    COMPLEX,
    Mutation(
        "products of means",
        "sharpdiv.theory.spectra.wishart._Traces.product",
        lambda f: lambda self, powers: f(self, powers) if len(powers) < 2 else prod(f(self, (p,)) for p in powers),
    ),
    powers=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    n=st.integers(1, 30),
)
def test_joint_moments_in_one_dimension(powers: list[int], n: int) -> None:
    """There a product of traces is one power."""
    assert fresh_joint(tuple(powers), n, 1) == prod(n + 2 * i for i in range(sum(powers)))


@law(ONCE, powers=st.lists(st.integers(1, 4), max_size=3), n=sizes, d=sizes)
def test_a_trace_of_w_scales_the_others(powers: list[int], n: int, d: int) -> None:
    """``E[tr(W) F] = (n d + 2 deg F) E[F] / d``, from the chi law of the norm of A."""
    left = fresh_joint((1, *powers), n, d)
    assert left == (n * d + 2 * sum(powers)) * fresh_joint(tuple(powers), n, d) / d


def test_the_square_of_a_trace() -> None:
    """In one dimension it is the mean of the squared polynomial; the mixed terms count twice."""
    p = filter_polynomial(2, 1, Fraction(1, 10), Fraction(1, 3))
    square = [
        sum((p[i] * p[k - i] for i in range(k + 1) if i < len(p) and k - i < len(p)), Fraction(0)) for k in range(11)
    ]
    assert wishart.trace_square(p, 7, 1) == FiniteWishart(7, 1).expectation(square)
    assert wishart.trace_square([Fraction(1)], 7, 3) == 9


@law(
    Mutation(
        "no null space",
        "sharpdiv.theory.spectra.wishart._gauss",
        lambda g: lambda n, d, c: (g(n, d, c)[0][:c], g(n, d, c)[1][:c]),
    ),
    Mutation(
        "weights off by 1e-9",
        "sharpdiv.theory.spectra.wishart._gauss",
        lambda g: lambda n, d, c: (g(n, d, c)[0], g(n, d, c)[1] * (1 + 1e-9)),
    ),
    examples=20,
    n=st.integers(1, 60),
    d=st.integers(1, 40),
    degree=st.integers(0, 40),
)
def test_the_gauss_rule_is_exact(n: int, d: int, degree: int) -> None:
    """Positive weights: only the rounding of a power of degree D and of a short sum is left."""
    law_ = FiniteWishart(n, d, degree)
    powers = np.array([0, degree // 2, degree])
    exact = [float(wishart.wishart_moment(int(power), n, d)) for power in powers]
    assert law_.integrate(lambda x: x ** powers[:, None]) == pytest.approx(exact, rel=1e-14 * (degree + 10))


@pytest.mark.parametrize(("n", "d", "steps"), [(3000, 150, 25), (5, 10, 20), (30, 30, 20)])
def test_high_degrees_keep_their_digits(n: int, d: int, steps: int) -> None:
    """Up to 25 steps of SAM, degree 102, where the exact alternating sum runs over 60 orders of magnitude."""
    eta, rho = Fraction(1, 100), Fraction(1, 20)
    exact = float(FiniteWishart(n, d).expectation(filter_polynomial(2 * steps, 2, eta, rho)))
    law_ = FiniteWishart(n, d, 4 * steps + 2)
    found = float(law_.integrate(lambda x: (1 - 0.01 * x * (1 + 0.05 * x)) ** (2 * steps) * x**2))
    scale = float(law_.integrate(lambda x: np.abs(1 - 0.01 * x * (1 + 0.05 * x)) ** (2 * steps) * x**2))
    # The learning rate and rho as doubles are not 1/100 and 1/20: 1e-16 each, times 80 powers of x up to 30.
    assert abs(found - exact) <= 1e-11 * scale


@law(
    Mutation(
        "the limit's value",
        "sharpdiv.theory.spectra.wishart.wishart_moment",
        lambda _: lambda m, n, d: moment(m, Fraction(n, d)),
    ),
    examples=15,
    r=st.sampled_from([0.5, 1.0, 4.0]),
    power=st.integers(2, 6),
)
def test_the_first_correction_to_the_limit(r: float, power: int) -> None:
    """``(1/d) [(f(x_+) + f(x_-))/4 - (1/2) arcsine mean of f]``; what follows is of order 1/d^2."""
    d = 400
    limit = MarchenkoPastur(r)
    middle, half = 1 + r, 2 * np.sqrt(r)
    angles = (np.arange(64) + 0.5) * np.pi / 64
    arcsine = np.mean((middle + half * np.cos(angles)) ** power)
    edges = ((middle + half) ** power + (middle - half) ** power) / 4
    difference = float(wishart.wishart_moment(power, round(r * d), d)) - float(limit.integrate(lambda x: x**power))
    assert difference * d == pytest.approx(edges - arcsine / 2, rel=power**3 / d)


@pytest.mark.parametrize(
    "function", [lambda x: 1 / (0.01 + x), lambda x: x**70, np.abs, lambda x: np.where(x < 3, x, 0)]
)
def test_what_is_no_polynomial_is_refused(function: Any) -> None:
    law_ = FiniteWishart(20, 10, 42)
    if function is np.abs:
        assert float(law_.integrate(function)) == pytest.approx(2.0)  # on the support it is x
        return
    with pytest.raises(DomainError, match="integrates polynomials of degree up to 42"):
        law_.integrate(function)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FiniteWishart(0, 3), "n must be"),
        (lambda: FiniteWishart(3, 0), "d must be"),
        (lambda: FiniteWishart(3, 3, 170), "degree of the finite law"),
        (lambda: FiniteWishart(3, 3).expectation([Fraction(0)] * 172), "degree of the polynomial"),
        (lambda: wishart.wishart_moment(171, 3, 3), "moment's order must be at most 170"),
        (lambda: wishart.joint_moment((-1,), 3, 3), "power"),
        (lambda: FiniteWishart(10, 3).blocks(3), "3 does not divide n = 10; take n = 9"),
        (lambda: FiniteWishart(10, 3).resolvent(np.ones_like), "no resolvent"),
        (lambda: FiniteWishart(3, 3, 120).integrate(lambda x: (1 - 999 * x) ** 120), "overflow"),
    ],
)
def test_bad_input_is_a_typed_error(make: Any, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()
