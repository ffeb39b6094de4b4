"""The symbolic proofs hold, reject wrong formulas, and rest on a calculus that matrices obey."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from math import comb, prod

import numpy as np
import pytest
import sympy as sp
from hypothesis import strategies as st
from sympy.utilities.iterables import partitions

from tests.laws import Mutation, law
from theory import DomainError, MarchenkoPastur, symbolic
from theory.blocks import q_exact, q_paper
from theory.narayana import exact_phi
from theory.symbolic import ClosedForm, Letter


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """What a mutation computed must not serve the next test."""
    cached = (
        symbolic.moment,
        symbolic.phi_polynomial,
        symbolic.psi_polynomial,
        symbolic.block_moment,
        symbolic.trace,
        symbolic.joint_moment,
    )
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def filtered(block: int) -> Letter:
    """A of one block."""
    return Letter(block, filters=1, data=0)


def gram(block: int, power: int = 1) -> Letter:
    """A power of W of one block."""
    return Letter(block, filters=0, data=power)


# The closed forms of Theorem 2 and wrong variants of them


def plus(form: ClosedForm, change: ClosedForm) -> ClosedForm:
    return lambda *moments: form(*moments) + change(*moments)


WRONG_EXACT: dict[str, ClosedForm] = {
    "q_paper": q_paper,
    "2 m1^2 for m1^2": plus(q_exact, lambda s, r, m0, m1, *_: s * (s - 1) * m1**2),
    "no -m0^2 r1^2": plus(q_exact, lambda s, r, m0, *_: s * (s - 1) * m0**2 * r**2),
    "3 r1 m0 m1 for 4": plus(q_exact, lambda s, r, m0, m1, *_: -s * (s - 1) * (s - 2) * r * m0 * m1),
    "r1 q0 for r1 (1 + r1) q0": plus(q_exact, lambda s, r, m0, m1, m2, q0, *_: -s * (s - 1) * r**2 * q0),
    "no term of four blocks": plus(q_exact, lambda s, r, m0, *_: -sp.ff(s, 4) * r**2 * m0**2),
}
WRONG_PAPER: dict[str, ClosedForm] = {
    "q_exact": q_exact,
    "m1^2 for 2 m1^2": plus(q_paper, lambda s, r, m0, m1, *_: -s * (s - 1) * m1**2),
    "1.4 r1^2 q0 for 1.5": plus(q_paper, lambda s, r, m0, m1, m2, q0, *_: -0.1 * sp.ff(s, 3) * r**2 * q0),
    "4 r1 m0 m1 for 3": plus(q_paper, lambda s, r, m0, m1, *_: sp.ff(s, 3) * r * m0 * m1),
}


@pytest.mark.parametrize("wrong", WRONG_EXACT.values(), ids=WRONG_EXACT)
def test_a_wrong_exact_q_is_rejected(wrong: ClosedForm) -> None:
    assert not symbolic.free_expansion(wrong).holds
    assert not symbolic.difference_identity(q_paper, wrong).holds


@pytest.mark.parametrize("wrong", WRONG_PAPER.values(), ids=WRONG_PAPER)
def test_a_wrong_published_q_is_rejected(wrong: ClosedForm) -> None:
    assert not symbolic.difference_identity(wrong, q_exact).holds


def test_every_proof_holds_and_can_be_printed() -> None:
    found = symbolic.proofs(q_paper, q_exact)
    assert [proof.id for proof in found if not proof.holds] == []
    assert len({proof.id for proof in found}) == len(found) == 10
    for proof in found:
        assert proof.title
        # Markdown takes a backslash before punctuation as an escape, and a bar or a line's end as the end of a cell.
        assert not re.search(r"\\[^A-Za-z]|[$|\n]", proof.latex), proof.latex
        assert proof.latex.count("{") == proof.latex.count("}")


# Free cumulants and phi


def classical_moments(cumulants: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
    """Moments from classical cumulants: all set partitions, not only the non-crossing ones."""
    moments = [sp.Integer(1)]
    for m in range(1, len(cumulants) + 1):
        moments.append(sp.expand(sum(comb(m - 1, k - 1) * cumulants[k - 1] * moments[m - k] for k in range(1, m + 1))))
    return tuple(moments)


CLASSICAL = Mutation("classical cumulants", "theory.symbolic.free_moments", lambda _: classical_moments)


@law(CLASSICAL)
def test_moments_of_free_cumulants_count_non_crossing_partitions() -> None:
    k1, k2, k3, k4 = kappa = sp.symbols("kappa1:5")
    fourth = symbolic.free_moments(kappa)[4]
    assert sp.expand(fourth - (k4 + 4 * k3 * k1 + 2 * k2**2 + 6 * k2 * k1**2 + k1**4)) == 0
    semicircle = tuple(sp.Integer(order == 2) for order in range(1, 11))
    assert symbolic.free_moments(semicircle)[::2] == tuple(sp.catalan(m) for m in range(6))


@law(
    CLASSICAL,
    Mutation("C(m, l)^2 / m", "theory.symbolic.narayana", lambda _: lambda m, level: comb(m, level) ** 2 // m),
    Mutation("jump r instead of 1", "theory.symbolic.free_moments", lambda f: lambda c: f(tuple(np.cumprod(c)))),
)
def test_moments_are_narayana_sums() -> None:
    assert symbolic.narayana_moments().holds


@law(
    Mutation("C(a+1, b) for C(a, b)", "theory.symbolic.sp.binomial", lambda f: lambda a, b: f(a + 1, b)),
)
def test_narayana_numbers_of_every_order() -> None:
    assert symbolic.narayana_every_order().holds


NO_SQUARE = Mutation(
    "1 - eta x (1 + rho)",
    "theory.symbolic._filter",
    lambda _: lambda i: sp.Poly(1 - symbolic.eta * symbolic._x * (1 + symbolic.rho), symbolic._x) ** i,
)
MORE_STEPS = Mutation("k + 1 steps", "theory.symbolic._filter", lambda f: lambda i: f(i + 1))
rationals = st.fractions(min_value=Fraction(1, 50), max_value=3, max_denominator=50)


@law(NO_SQUARE, MORE_STEPS, CLASSICAL)
def test_phi_is_the_alternating_sum() -> None:
    assert symbolic.phi_alternating_sum().holds


@law(NO_SQUARE, CLASSICAL, i=st.integers(0, 4), j=st.integers(0, 3), ratio=rationals, rate=rationals, rho=rationals)
def test_phi_polynomial_is_the_exact_rational(i: int, j: int, ratio: Fraction, rate: Fraction, rho: Fraction) -> None:
    assert at(symbolic.phi_polynomial(i, j), ratio, rate, rho) == sp.Rational(exact_phi(i, j, ratio, rate, rho))


@law(
    NO_SQUARE,
    MORE_STEPS,
    steps=st.integers(0, 3),
    ratio=st.fractions(Fraction(1, 5), 5, max_denominator=9),
    rho=st.fractions(0, 1, max_denominator=9),
)
def test_psi_polynomial_is_the_integral(steps: int, ratio: Fraction, rho: Fraction) -> None:
    spectrum, rate = MarchenkoPastur(float(ratio)), Fraction(1, 20)

    def integrand(x: np.ndarray) -> np.ndarray:
        share = 1 - (1 - float(rate) * x * (1 + float(rho) * x)) ** steps
        return np.divide(share**2, x, out=np.zeros_like(x), where=x > 0)

    value = float(at(symbolic.psi_polynomial(steps), ratio, rate, rho))
    # 1 - q^k cancels for small x: an absolute error of 1e-16 over the smallest node.
    assert float(spectrum.integrate(integrand)) == pytest.approx(value, rel=1e-9, abs=1e-12)


def at(expression: sp.Expr, ratio: Fraction, rate: Fraction, rho: Fraction) -> sp.Expr:
    return sp.sympify(expression).subs(
        {symbolic.r: sp.Rational(ratio), symbolic.eta: sp.Rational(rate), symbolic.rho: sp.Rational(rho)}
    )


# The word calculus


def independent_trace(word: tuple[Letter, ...]) -> sp.Expr:
    """Classical independence: the letters of different blocks commute, and every block's product is alone."""
    blocks = {letter.block for letter in word}
    factors = [reduce(Letter.__mul__, (b for b in word if b.block == block)) for block in blocks]
    return sp.expand(prod((symbolic.block_moment(b.filters, b.data) for b in factors), start=sp.Integer(1)))


INDEPENDENT = Mutation("classical independence", "theory.symbolic.trace", lambda _: independent_trace)
UNMERGED = Mutation("neighbours of one block taken as free", "theory.symbolic._merged", lambda _: lambda word: word)
POWERS_OF_S = Mutation(
    "s^k for the falling factorial",
    "theory.symbolic._falling",
    lambda _: lambda levels: sum(symbolic.s**k * level for k, level in levels.items()),
)
powers = st.integers(0, 2)


@law(INDEPENDENT, UNMERGED, a=powers, b=powers, x=st.integers(1, 2), y=st.integers(1, 2))
def test_four_alternating_letters(a: int, b: int, x: int, y: int) -> None:
    """``tau(a x b y) = tau(ab) tau(x) tau(y) + tau(a) tau(b) tau(xy) - tau(a) tau(b) tau(x) tau(y)``, a and b free of x and y."""
    first, second = Letter(0, a, 1), Letter(0, 0, b)
    word = (first, gram(1, x), second, gram(1, y))
    t1, t2, t12 = (symbolic.block_moment(u.filters, u.data) for u in (first, second, first * second))
    w1, w2, w12 = (symbolic.block_moment(0, power) for power in (x, y, x + y))
    assert sp.expand(symbolic.trace(word) - (t12 * w1 * w2 + t1 * t2 * w12 - t1 * t2 * w1 * w2)) == 0


@law(INDEPENDENT, UNMERGED, POWERS_OF_S)
def test_blocks_add_up() -> None:
    assert symbolic.blocks_add_up().holds


@law(INDEPENDENT, a=st.integers(1, 3), b=st.integers(1, 3))
def test_words_in_two_wishart_matrices(a: int, b: int) -> None:
    """Exact at finite (n, d): ``E[W_2 B W_2] = (n (n+1) B + n tr(B) I) / d^2`` for a fixed symmetric B."""
    n, d = symbolic.n, symbolic.d
    same, apart = symbolic.joint_moment((a + b,)), symbolic.joint_moment((a, b))
    exact = sp.expand((n * (n + 1) * same + n * apart) / d**3).subs(n, symbolic.r1 * d)
    word = (gram(0, a), gram(1), gram(0, b), gram(1))
    assert sp.expand(exact).coeff(d, 0) == symbolic.trace(word)


@law(INDEPENDENT, MORE_STEPS)
def test_words_in_filters_of_random_matrices() -> None:
    """Monte Carlo at d = 60 and 120, extrapolated to remove the error of order 1/d.

    400 and 200 draws give standard errors of 0.0019, 0.0065 and 0.0032; 4 of them are allowed. What is left at order
    1/d^2 is far smaller, and classical independence is 25 to 70 standard errors away.
    """
    words = (
        (filtered(0), gram(1), gram(0), filtered(1)),
        (filtered(0), gram(1), filtered(0), gram(1)),
        (filtered(0), gram(1), gram(0), filtered(1), gram(2)),
    )
    (coarse, coarse_error), (fine, fine_error) = (
        measured_traces(words, d, draws) for d, draws in ((60, 400), (120, 200))
    )
    limit, error = 2 * fine - coarse, np.hypot(2 * fine_error, coarse_error)
    assert np.all(np.abs(limit - [in_numbers(symbolic.trace(word)) for word in words]) <= 4 * error), (limit, error)


FILTER = (Fraction(3, 2), Fraction(3, 20), Fraction(3, 10))  # r1, eta, rho of the Monte Carlo, where k = 2


def measured_traces(words: tuple[tuple[Letter, ...], ...], d: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean normalised trace of each word over draws of three blocks, and its standard error."""
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
    moments = {
        symbolic.block_moment(p, j): at(symbolic.phi_polynomial(2 * p, j), *FILTER) for p in (1, 2) for j in (0, 1)
    }
    return float(expression.subs({**moments, symbolic.r1: sp.Rational(FILTER[0])}))


@law(
    INDEPENDENT,
    UNMERGED,
    POWERS_OF_S,
    Mutation("M^2k for M^k", "theory.symbolic._A", lambda _: (2, 0)),
    Mutation("W^2 for W", "theory.symbolic._W", lambda _: (0, 2)),
)
def test_the_exact_q_follows_from_freeness() -> None:
    assert symbolic.free_expansion(q_exact).holds


def independent_one_block(expression: Callable[[sp.Symbol, sp.Symbol], sp.Expr]) -> sp.Expr:
    """A and W of one block taken as uncorrelated."""
    first, second = sp.symbols("A W")
    terms = sp.Poly(expression(first, second), first, second).terms()
    return sp.expand(sum(c * symbolic.block_moment(p, 0) * symbolic.block_moment(0, j) for (p, j), c in terms))


@law(
    Mutation("A and W of one block uncorrelated", "theory.symbolic._one_block", lambda _: independent_one_block),
    Mutation("W a multiple of the identity", "theory.symbolic.moment", lambda _: lambda m: symbolic.r**m),
)
def test_the_brackets_are_a_covariance_and_a_mean_square() -> None:
    assert symbolic.bracket_is_a_square().holds


@law(
    Mutation("r1 more in the square", "theory.symbolic._brackets", lambda f: lambda: (f()[0], f()[1] + symbolic.r1)),
    Mutation("covariance not squared", "theory.symbolic._brackets", lambda f: lambda: (sp.sqrt(f()[0]), f()[1])),
)
def test_the_gap_is_made_of_the_two_brackets() -> None:
    assert symbolic.difference_identity(q_paper, q_exact).holds


# The improvement rate


def averaged_bias(errors: Callable[..., tuple[sp.Expr, sp.Expr]]) -> Callable[..., tuple[sp.Expr, sp.Expr]]:
    return lambda *a: (errors(*a)[0], errors(*a)[0] / symbolic.members)


@law(
    Mutation("bias averaged out over members", "theory.symbolic._errors", averaged_bias),
    Mutation("label noise", "theory.symbolic._errors", lambda f: lambda k, _: f(k, symbolic.noise)),
    Mutation(
        "rho without effect", "theory.symbolic.phi_polynomial", lambda f: lambda i, j: f(i, j).subs(symbolic.rho, 1)
    ),
    steps=st.integers(1, 3),
)
def test_without_noise_the_improvement_rate_ignores_rho(steps: int) -> None:
    assert symbolic.eir_without_noise(steps).holds


@law(
    Mutation("bias averaged out over members", "theory.symbolic._errors", averaged_bias),
    Mutation("no label noise", "theory.symbolic._errors", lambda f: lambda k, _: f(k, sp.Integer(0))),
    Mutation("psi of twice the steps", "theory.symbolic.psi_polynomial", lambda f: lambda k: f(2 * k)),
    Mutation("tau(W^3) for tau(W^2)", "theory.symbolic.moment", lambda f: lambda m: f(max(m, 3))),
    steps=st.integers(1, 3),
)
def test_with_noise_the_improvement_rate_falls(steps: int) -> None:
    assert symbolic.eir_with_noise(steps).holds


# Finite n and d


def complex_joint_moment(indices: tuple[int, ...]) -> sp.Expr:
    """The loop equation of complex Gaussian entries."""
    if not any(indices):
        return symbolic.d ** len(indices)
    m, *rest = sorted(indices, reverse=True)
    total = symbolic.n * complex_joint_moment((m - 1, *rest))
    total += sum(complex_joint_moment((j, m - 1 - j, *rest)) for j in range(1, m))
    for place, power in enumerate(rest):
        total += power * complex_joint_moment((m + power - 1, *rest[:place], *rest[place + 1 :]))
    return sp.expand(total / symbolic.d)


COMPLEX = Mutation("complex entries", "theory.symbolic.joint_moment", lambda _: complex_joint_moment)
sizes = st.integers(1, 6)
products_of_traces = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)


@law(COMPLEX, m=st.integers(1, 6), n=sizes, d=sizes)
def test_moments_of_one_trace_by_zonal_polynomials(m: int, n: int, d: int) -> None:
    """``E tr (G'G)^m`` as a sum over partitions (Jack polynomials at parameter 2), G an n x d standard normal matrix."""
    value = symbolic.joint_moment((m,)).subs({symbolic.n: n, symbolic.d: d})
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


@law(COMPLEX, examples=20, indices=products_of_traces)
def test_the_norm_of_a_is_independent_of_its_direction(indices: tuple[int, ...]) -> None:
    """``t_1 = |A|^2`` is chi squared over d, so ``E[t_1 F] = (n d + 2 deg F) E[F] / d`` for F homogeneous in W."""
    degree = sum(indices)
    scaled = (symbolic.n + 2 * degree / symbolic.d) * symbolic.joint_moment(indices)
    assert sp.expand(symbolic.joint_moment((1, *indices)) - scaled) == 0


@law(
    Mutation("n + 1 rows", "theory.symbolic.joint_moment", lambda f: lambda p: f(p).subs(symbolic.n, symbolic.n + 1)),
    indices=products_of_traces,
)
def test_a_and_its_transpose_have_the_same_traces(indices: tuple[int, ...]) -> None:
    unscaled = sp.expand(symbolic.d ** sum(indices) * symbolic.joint_moment(indices))
    swapped = unscaled.subs({symbolic.n: symbolic.d, symbolic.d: symbolic.n}, simultaneous=True)
    assert sp.expand(swapped - unscaled) == 0


@law(COMPLEX, indices=products_of_traces)
def test_one_column_is_chi_squared(indices: tuple[int, ...]) -> None:
    """At d = 1 every trace is a power of one chi squared number with n degrees of freedom."""
    moments = prod((symbolic.n + 2 * i for i in range(sum(indices))), start=sp.Integer(1))
    assert sp.expand(symbolic.joint_moment(indices).subs(symbolic.d, 1) - moments) == 0


@law(
    COMPLEX,
    Mutation(
        "n = (r + 1/d) d", "theory.symbolic.joint_moment", lambda f: lambda p: f(p).subs(symbolic.n, symbolic.n + 1)
    ),
    Mutation("C(m, l)^2 / m", "theory.symbolic.narayana", lambda _: lambda m, level: comb(m, level) ** 2 // m),
)
def test_the_leading_correction_sits_at_the_edges() -> None:
    assert symbolic.finite_size().holds


# Domain


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symbolic.moment(-1), "moment's order must be an integer of at least 0, got -1"),
        (lambda: symbolic.phi_polynomial(-1, 0), "i must be"),
        (lambda: symbolic.phi_polynomial(1, -1), "j must be"),
        (lambda: symbolic.psi_polynomial(-1), "steps must be"),
        (lambda: symbolic.block_moment(-1, 0), "power of the filter must be"),
        (lambda: symbolic.trace((gram(0, -1),)), "power of W must be"),
        (lambda: symbolic.joint_moment((2, -1)), "non-negative, got"),
    ],
)
def test_bad_input_is_a_typed_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        call()


def test_the_empty_word_and_the_empty_product_are_one() -> None:
    assert symbolic.trace(()) == symbolic.joint_moment(()) == symbolic.moment(0) == symbolic.phi_polynomial(0, 0) == 1
