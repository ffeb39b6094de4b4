"""Symbolic proofs of the algebra behind the theory: derived by SymPy, then compared with the closed forms.

Nothing here is numerical and no derivation starts from the formula it ends at. Marchenko-Pastur moments come from free
cumulants, the mixed moments of Theorem 2 from the definition of freeness, finite-size moments from Gaussian integration
by parts. The closed forms of Theorem 2 are arguments, so that a wrong one can be shown to fail.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Any

import sympy as sp
from sympy.utilities.iterables import multiset_partitions

from theory.errors import DomainError, require_integer
from theory.narayana import narayana

__all__ = [
    "ClosedForm",
    "Letter",
    "Proof",
    "block_moment",
    "blocks_add_up",
    "bracket_is_a_square",
    "difference_identity",
    "eir_with_noise",
    "eir_without_noise",
    "finite_size",
    "free_expansion",
    "free_moments",
    "joint_moment",
    "moment",
    "narayana_every_order",
    "narayana_moments",
    "phi_alternating_sum",
    "phi_polynomial",
    "proofs",
    "psi_polynomial",
    "trace",
]

ClosedForm = Callable[..., Any]
"""A formula of Theorem 2 in ``(s, r1, m0, m1, m2, q0, q1, q2)``, in plain arithmetic."""

r, r1, eta, rho, s = sp.symbols("r r1 eta rho s", positive=True)
n, d = sp.symbols("n d", positive=True)
sigma, omega, noise, members = sp.symbols("sigma omega s_e m", positive=True)
_x, _u = sp.symbols("x u")


@dataclass(frozen=True)
class Proof:
    """A statement and whether SymPy could show it."""

    id: str
    """short name"""
    title: str
    """what is stated, in words"""
    latex: str
    """the statement, as LaTeX without dollar signs and what Markdown takes for itself (escaped punctuation, bars)"""
    holds: bool
    """whether every difference of two sides simplifies to 0"""


def _equal(left: sp.Expr, right: sp.Expr) -> bool:
    """Whether two polynomials are the same."""
    return bool(sp.expand(left - right) == 0)


# Moments of the Marchenko-Pastur law, and phi


def free_moments(cumulants: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
    """Moments of a law from its free cumulants, by the free moment-cumulant relation.

    With the generating functions ``M(z) = 1 + sum m_n z^n`` and ``C(y) = 1 + sum kappa_n y^n`` it is ``M(z) = C(z M(z))``,
    so ``m_n = sum_k kappa_k [z^(n-k)] M(z)^k``, whose right side needs lower moments only.

    Args:
        cumulants: ``kappa_1, kappa_2, ...``.

    Returns:
        ``1, m_1, m_2, ...``, as many moments as cumulants.
    """
    moments = [sp.Integer(1)]

    @cache
    def coefficient(power: int, order: int) -> sp.Expr:
        """``[z^order] M(z)^power``."""
        if power == 0:
            return sp.Integer(order == 0)
        return sp.expand(sum(moments[i] * coefficient(power - 1, order - i) for i in range(order + 1)))

    for order in range(1, len(cumulants) + 1):
        terms = [kappa * coefficient(k, order - k) for k, kappa in enumerate(cumulants[:order], 1)]
        moments.append(sp.expand(sum(terms)))
    return tuple(moments)


@cache
def moment(m: int) -> sp.Expr:
    """m-th moment of the Marchenko-Pastur law: the free Poisson law of rate r and jump 1, all free cumulants r.

    Args:
        m: order.

    Returns:
        A polynomial in ``r``.

    Raises:
        DomainError: if the order is negative.
    """
    require_integer("moment's order", m, 0)
    return free_moments((r,) * m)[m]


def _narayana_sum(m: int) -> sp.Expr:
    """The m-th moment as the paper writes it."""
    return sum((narayana(m, level) * r**level for level in range(1, m + 1)), start=sp.Integer(m == 0))


def narayana_moments(order: int = 10) -> Proof:
    """Moments derived from free cumulants are the paper's Narayana sums.

    Args:
        order: largest m.

    Returns:
        The proof for ``m <= order``.
    """
    return Proof(
        "narayana-moments",
        f"Marchenko-Pastur moments from free cumulants are Narayana sums, m up to {order}",
        r"\tau(W^m) = \sum_{l=1}^m N(m,l) r^l,\quad N(m,l) = \tfrac{1}{m} \tbinom{m}{l} \tbinom{m}{l-1},"
        rf"\quad m \le {order}",
        all(_equal(moment(m), _narayana_sum(m)) for m in range(order + 1)),
    )


def narayana_every_order() -> Proof:
    """The same for every m, by Lagrange inversion.

    ``y = z M(z)`` solves ``y = z C(y)``, so ``[z^m] M = [y^m] C(y)^(m+1) / (m+1)``. With ``C(y) = 1 + r y/(1 - y)`` the
    coefficient of ``r^l`` is ``C(m+1, l) [y^(m-l)] (1 - y)^(-l) / (m+1) = C(m+1, l) C(m-1, l-1) / (m+1)``.

    Returns:
        The proof that this is the Narayana number, m and l being symbols.
    """
    m, level = sp.symbols("m l", integer=True, positive=True)
    lagrange = sp.binomial(m + 1, level) * sp.binomial(m - 1, level - 1) / (m + 1)
    narayana_number = sp.binomial(m, level) * sp.binomial(m, level - 1) / m
    return Proof(
        "narayana-every-order",
        "Lagrange inversion of the free cumulant relation gives the Narayana numbers for every m and l",
        r"[z^m r^l] M(z) = \tfrac{1}{m+1} \tbinom{m+1}{l} \tbinom{m-1}{l-1}"
        r" = \tfrac{1}{m} \tbinom{m}{l} \tbinom{m}{l-1} = N(m,l)",
        bool(sp.combsimp(lagrange / narayana_number) == 1),
    )


def _filter(power: int) -> sp.Poly:
    """``q(x)^power`` with ``q(x) = 1 - eta x - eta rho x^2``."""
    return sp.Poly(1 - eta * _x - eta * rho * _x**2, _x) ** power


def _integral(polynomial: sp.Poly) -> sp.Expr:
    """Integral of a polynomial in x against the Marchenko-Pastur law."""
    return sp.expand(sum(c * moment(power) for (power,), c in polynomial.terms()))


@cache
def phi_polynomial(i: int, j: int) -> sp.Expr:
    """``phi(i, j)``, the integral of ``q(x)^i x^j`` against the Marchenko-Pastur law.

    Args:
        i: power of the filter.
        j: power of the eigenvalue.

    Returns:
        An expanded polynomial in ``r``, ``eta`` and ``rho``.

    Raises:
        DomainError: if a power is negative.
    """
    require_integer("i", i, 0)
    require_integer("j", j, 0)
    return _integral(_filter(i) * sp.Poly(_x**j, _x))


@cache
def psi_polynomial(steps: int) -> sp.Expr:
    """``psi``, the integral of ``(1 - q(x)^k)^2 / x``: what label noise of unit variance adds to the error.

    Args:
        steps: k.

    Returns:
        An expanded polynomial in ``r``, ``eta`` and ``rho``.

    Raises:
        DomainError: if the number of steps is negative.
    """
    require_integer("steps", steps, 0)
    return _integral(((1 - _filter(steps)) ** 2).exquo(sp.Poly(_x, _x)))


def phi_alternating_sum(powers: tuple[tuple[int, int], ...] = ((1, 0), (2, 1), (3, 2), (6, 0))) -> Proof:
    """The integral is the paper's multinomial sum, a factors ``-eta x`` and b factors ``-eta rho x^2``.

    Args:
        powers: pairs ``(i, j)``.

    Returns:
        The proof for these pairs.
    """

    def alternating(i: int, j: int) -> sp.Expr:
        return sum(
            comb(i, a) * comb(i - a, b) * (-eta) ** (a + b) * rho**b * _narayana_sum(a + 2 * b + j)
            for a in range(i + 1)
            for b in range(i - a + 1)
        )

    pairs = ", ".join(f"({i},{j})" for i, j in powers)
    return Proof(
        "phi-alternating-sum",
        "phi is the published alternating sum over Narayana numbers",
        r"\varphi(i,j) = \int q^i x^j d\mu = \sum_{a+b \le i} \tfrac{i!}{a! b! (i-a-b)!} (-\eta)^{a+b} \rho^b"
        rf" \sum_l N(a+2b+j, l) r^l,\quad (i,j) \in \lbrace {pairs} \rbrace",
        all(_equal(phi_polynomial(i, j), alternating(i, j)) for i, j in powers),
    )


# Words in free blocks


@dataclass(frozen=True)
class Letter:
    """The monomial ``A^filters W^data`` of one block, ``A = q(W)^k``; factors of one block commute."""

    block: int
    """label; different labels are free"""
    filters: int
    """power of A"""
    data: int
    """power of W"""

    def __mul__(self, other: "Letter") -> "Letter":
        return Letter(self.block, self.filters + other.filters, self.data + other.data)


_A, _W = (1, 0), (0, 1)  # powers (filters, data) of the letters A and W


@cache
def block_moment(filters: int, data: int) -> sp.Expr:
    """``tau(A^filters W^data)`` of one block, the same for every block.

    Args:
        filters: power of ``A = q(W)^k``.
        data: power of W.

    Returns:
        A polynomial in the block's ratio ``r1`` if there is no filter, otherwise the symbol of ``phi(filters * k, data)``:
        ``m_j`` for one filter, ``q_j`` for two.

    Raises:
        DomainError: if a power is negative.
    """
    require_integer("power of the filter", filters, 0)
    require_integer("power of W", data, 0)
    if filters == 0:
        return moment(data).subs(r, r1)
    names = {1: "m", 2: "q"}
    return sp.Symbol(f"{names.get(filters, f'phi{filters}_')}{data}")


def _merged(word: tuple[Letter, ...]) -> tuple[Letter, ...]:
    """The word with neighbours of one block joined, its two ends being neighbours under the trace."""
    merged: list[Letter] = []
    for letter in word:
        if merged and merged[-1].block == letter.block:
            merged[-1] *= letter
        else:
            merged.append(letter)
    if len(merged) > 1 and merged[0].block == merged[-1].block:
        merged[0] *= merged.pop()
    return tuple(merged)


@cache
def trace(word: tuple[Letter, ...]) -> sp.Expr:
    """Trace of a product of letters whose blocks are free and identically distributed.

    In a word without equal neighbours ``b_1 ... b_n`` freeness says ``tau(prod_i (b_i - tau b_i)) = 0``. Expanded, that is
    the trace of the word in terms of those of its proper subwords.

    Args:
        word: letters, cyclic.

    Returns:
        A polynomial in ``block_moment``.
    """
    word = _merged(word)
    if not word:
        return sp.Integer(1)
    if len(word) == 1:
        return block_moment(word[0].filters, word[0].data)
    places = range(len(word))
    proper_subwords = (kept for size in places for kept in combinations(places, size))
    others = sp.Integer(0)
    for kept in proper_subwords:
        means = [-trace((word[place],)) for place in places if place not in kept]
        others += sp.prod(means) * trace(tuple(word[place] for place in kept))
    return sp.expand(-others)


def _sum_over_blocks(letters: tuple[tuple[int, int], ...]) -> dict[int, sp.Expr]:
    """Trace of a product of sums over all blocks, ``tau(prod_p sum_i A_i^(f_p) W_i^(d_p))``.

    Blocks are alike, so a choice of blocks counts only by which positions agree: a set partition into k classes stands
    for ``s (s-1) ... (s-k+1)`` choices.

    Returns:
        The sum of traces for each k.
    """
    levels: dict[int, sp.Expr] = defaultdict(lambda: sp.Integer(0))
    for partition in multiset_partitions(len(letters)):
        block = {place: label for label, places in enumerate(partition) for place in places}
        levels[len(partition)] += trace(tuple(Letter(block[p], *powers) for p, powers in enumerate(letters)))
    return dict(levels)


def _falling(levels: dict[int, sp.Expr]) -> sp.Expr:
    """``sum_k s (s-1) ... (s-k+1) levels[k]``."""
    return sum(sp.ff(s, k) * level for k, level in levels.items())


def blocks_add_up(order: int = 5) -> Proof:
    """The blocks' W sum to the full data's, whose moments are known: the word calculus checked against itself.

    Args:
        order: largest m.

    Returns:
        The proof for ``m <= order`` and every number of blocks.
    """
    return Proof(
        "free-blocks-add",
        f"s free blocks of ratio r1 add up to the Marchenko-Pastur law of ratio s r1, moments up to {order}",
        rf"\tau\bigl((W_1 + \dots + W_s)^m\bigr) = \sum_l N(m,l) (s r_1)^l,\quad m \le {order}",
        all(
            _equal(_falling(_sum_over_blocks((_W,) * m)), _narayana_sum(m).subs(r, s * r1)) for m in range(1, order + 1)
        ),
    )


def _closed(form: ClosedForm) -> sp.Expr:
    """A closed form at the blocks' symbols, with exact coefficients."""
    value = form(s, r1, *(block_moment(1, j) for j in range(3)), *(block_moment(2, j) for j in range(3)))
    return sp.nsimplify(value, rational=True)


def free_expansion(q_exact: ClosedForm) -> Proof:
    """The exact Q of Theorem 2, ``tau(|W sum_i A_i|^2) = sum_(i,j,l,m) tau(A_i W_j W_l A_m)``, from freeness alone.

    Args:
        q_exact: the closed form.

    Returns:
        The proof that it is the expansion; the statement shows the expansion derived here.
    """
    levels = _sum_over_blocks((_A, _W, _W, _A))
    derived = r" + ".join(rf"s^{{\underline{{{k}}}}}\Bigl({sp.latex(levels[k])}\Bigr)" for k in sorted(levels))
    return Proof(
        "q-free-expansion",
        "The exact Q of Theorem 2 follows from freeness of the blocks",
        r"\tau\bigl(\lvert W \textstyle\sum_i A_i \rvert^2\bigr) = "
        rf"{derived},\quad s^{{\underline{{k}}}} = s(s-1)\cdots(s-k+1),\quad m_j = \varphi(k,j),"
        r"\quad q_j = \varphi(2k,j)",
        _equal(_falling(levels), _closed(q_exact)),
    )


def _one_block(expression: Callable[[sp.Symbol, sp.Symbol], sp.Expr]) -> sp.Expr:
    """``tau`` of a polynomial in A and W of one block."""
    A, W = sp.symbols("A W")
    terms = sp.Poly(expression(A, W), A, W).terms()
    return sp.expand(sum(c * block_moment(filters, data) for (filters, data), c in terms))


def _brackets() -> tuple[sp.Expr, sp.Expr]:
    """``tau((A - m0)(W - r1))`` and ``tau((r1 A - m0 W)^2)``, the two squares in the gap of Theorem 2's bound."""
    m0 = block_moment(1, 0)
    covariance = _one_block(lambda A, W: (A - m0) * (W - r1))
    square = _one_block(lambda A, W: (r1 * A - m0 * W) ** 2)
    return covariance, square


def bracket_is_a_square() -> Proof:
    """The brackets of the difference identity are a covariance and a mean square, hence the published Q is a bound.

    Returns:
        The proof, from the moments of one block.
    """
    m0, m1, q0 = block_moment(1, 0), block_moment(1, 1), block_moment(2, 0)
    covariance, square = _brackets()
    return Proof(
        "q-brackets",
        "The brackets in the gap of Theorem 2's bound are a covariance and a mean square",
        r"m_1 - m_0 r_1 = \tau\bigl((A - m_0)(W_1 - r_1)\bigr),\quad"
        r" r_1^2 q_0 - 2 r_1 m_0 m_1 + m_0^2 r_1 (1 + r_1) = \tau\bigl((r_1 A - m_0 W_1)^2\bigr) \ge 0",
        _equal(covariance, m1 - m0 * r1) and _equal(square, r1**2 * q0 - 2 * r1 * m0 * m1 + m0**2 * r1 * (1 + r1)),
    )


def difference_identity(q_paper: ClosedForm, q_exact: ClosedForm) -> Proof:
    """The published Q exceeds the exact one by two squares.

    Args:
        q_paper: the published closed form.
        q_exact: the exact one.

    Returns:
        The proof.
    """
    covariance, square = _brackets()
    gap = s * (s - 1) * covariance**2 + s * (s - 1) * (s - 2) / 2 * square
    return Proof(
        "q-difference",
        "The published Q exceeds the exact one by two squares",
        r"Q_{\mathrm{paper}} - Q_{\mathrm{exact}} = s(s-1) (m_1 - m_0 r_1)^2"
        r" + \tfrac{1}{2} s(s-1)(s-2) \tau\bigl((r_1 A - m_0 W_1)^2\bigr)",
        _equal(_closed(q_paper) - _closed(q_exact), gap),
    )


# The ensemble improvement rate of SAM


def _errors(steps: int, label_noise: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Member and ensemble error of SAM, m members with independent initialisations on the same data."""
    q0 = phi_polynomial(2 * steps, 0)
    shared = omega**2 / d * q0 + label_noise**2 * psi_polynomial(steps)
    return sigma**2 * q0 + shared, sigma**2 / members * q0 + shared


def eir_without_noise(steps: int = 3) -> Proof:
    """Without label noise SAM's improvement rate does not depend on rho, although its errors do.

    Args:
        steps: k.

    Returns:
        The proof for this k.
    """
    member, ensemble = _errors(steps, sp.Integer(0))
    eir = sp.cancel((member - ensemble) / member)
    closed = (1 - 1 / members) * sigma**2 / (sigma**2 + omega**2 / d)
    return Proof(
        "eir-without-noise",
        f"Without label noise SAM's improvement rate does not depend on rho (k = {steps})",
        r"\mathrm{EIR} = \bigl(1 - \tfrac{1}{m}\bigr) \frac{\sigma^2}{\sigma^2 + \omega^2/d},\quad"
        rf" \partial_\rho \mathrm{{EIR}} = 0 \ne \partial_\rho \mathrm{{member}},\quad k = {steps}",
        bool(sp.cancel(eir - closed) == 0 and sp.diff(eir, rho) == 0 and sp.diff(member, rho) != 0),
    )


def eir_with_noise(steps: int = 3) -> Proof:
    """With label noise SAM's improvement rate falls with rho at small eta.

    The noise has variance ``s_e^2`` and adds ``s_e^2 psi`` to the error of every member and of the ensemble.
    ``d EIR / d rho`` is ``(gain' member - gain member') / member^2`` with ``gain = member - ensemble``. To order ``eta^2``
    the numerator needs the errors to order ``eta^2`` only, and the denominator is taken at ``eta = 0``.

    Args:
        steps: k.

    Returns:
        The proof for this k: the coefficients of 1 and eta vanish, that of ``eta^2`` is the closed form and negative
        for two members or more.
    """
    member, ensemble = (_to_second_order(error) for error in _errors(steps, noise))
    gain = member - ensemble
    slope = sp.expand(sp.diff(gain, rho) * member - gain * sp.diff(member, rho))
    leading = slope.coeff(eta, 2) / member.subs(eta, 0) ** 2
    scale = 2 * steps**2 * sigma**2 * noise**2 / (sigma**2 + omega**2 / d) ** 2
    drop = scale * (moment(2) + rho * moment(3))
    return Proof(
        "eir-with-noise",
        f"With label noise SAM's improvement rate falls with rho at small eta (k = {steps})",
        r"\partial_\rho \mathrm{EIR} = -\bigl(1 - \tfrac{1}{m}\bigr)"
        r" \frac{2 k^2 \sigma^2 s_e^2 [\tau(W^2) + \rho \tau(W^3)]}{(\sigma^2 + \omega^2/d)^2} \eta^2 + O(\eta^3)"
        rf",\quad m \ge 2,\quad k = {steps}",
        bool(
            slope.coeff(eta, 0) == slope.coeff(eta, 1) == 0
            and sp.cancel(leading + (1 - 1 / members) * drop) == 0
            and drop.is_positive
        ),
    )


def _to_second_order(expression: sp.Expr) -> sp.Expr:
    """The polynomial without terms of higher order than ``eta^2``."""
    expanded = sp.expand(expression)
    return sum(expanded.coeff(eta, power) * eta**power for power in range(3))


# Finite n and d


@cache
def joint_moment(powers: tuple[int, ...]) -> sp.Expr:
    """``E prod_l tr W^(p_l)`` for ``W = A'A``, A of shape (n, d) with independent normal entries of variance 1/d.

    Integration by parts, ``d E[A_ai f] = E[df/dA_ai]``, of ``t_m = sum_ai A_ai (A W^(m-1))_ai`` gives the loop equation

        ``d E[t_m F] = (n+m-1) E[t_(m-1) F] + sum_(j=1)^(m-1) E[t_j t_(m-1-j) F] + sum_l 2 p_l E[t_(m+p_l-1) F/t_(p_l)]``

    with ``t_p = tr W^p``, ``t_0 = d`` and F a product of ``t_(p_l)``.

    Args:
        powers: ``p_l``, in any order.

    Returns:
        A polynomial in ``n``, ``d`` and ``1/d``.

    Raises:
        DomainError: if a power is negative.
    """
    if any(power < 0 for power in powers):
        raise DomainError(f"powers of W must be non-negative, got {powers}")
    if not any(powers):
        return d ** len(powers)
    m, *rest = sorted(powers, reverse=True)
    others = tuple(rest)
    total = (n + m - 1) * joint_moment((m - 1, *others))
    total += sum(joint_moment((j, m - 1 - j, *others)) for j in range(1, m))
    for place, power in enumerate(others):
        total += 2 * power * joint_moment((m + power - 1, *others[:place], *others[place + 1 :]))
    return sp.expand(total / d)


def finite_size(order: int = 5) -> Proof:
    """Moments at finite (n, d), n = r d, start with the Marchenko-Pastur law and a correction from its two edges.

    With ``t = sqrt(r)`` and ``|u| = 1`` the support is ``x = (1 + t u)(1 + t/u)``: edges at ``u = 1`` and ``-1``, and the
    mean over the arcsine law ``dx / (pi sqrt((x_+ - x)(x - x_-)))`` is the constant term in u.

    Args:
        order: largest m.

    Returns:
        The proof for ``1 <= m <= order``.
    """
    t = sp.Symbol("t", positive=True)
    support = (1 + t * _u) * (1 + t / _u)

    def holds(m: int) -> bool:
        exact = sp.expand((joint_moment((m,)) / d).subs(n, r * d))
        power = sp.expand(support**m)
        correction = (power.subs(_u, 1) + power.subs(_u, -1)) / 4 - power.coeff(_u, 0) / 2
        return _equal(exact.coeff(d, 0), _narayana_sum(m)) and _equal(exact.coeff(d, -1).subs(r, t**2), correction)

    return Proof(
        "finite-size",
        f"Leading finite-size correction of the moments of W, m up to {order}",
        r"\mathbb{E} \tfrac{1}{d} \operatorname{tr} W^m = \sum_l N(m,l) r^l + \frac{1}{d} \Bigl[\frac{x_+^m + x_-^m}{4}"
        r" - \frac{1}{2\pi} \int_{x_-}^{x_+} \frac{x^m dx}{\sqrt{(x_+ - x)(x - x_-)}}\Bigr] + O(d^{-2}),\quad"
        rf" x_\pm = (1 \pm \sqrt{{r}})^2,\quad m \le {order}",
        all(holds(m) for m in range(1, order + 1)),
    )


def proofs(q_paper: ClosedForm, q_exact: ClosedForm) -> tuple[Proof, ...]:
    """Every statement of this module.

    Args:
        q_paper: the published Q of Theorem 2.
        q_exact: the exact one.

    Returns:
        The proofs, in the order of the derivation.
    """
    return (
        narayana_moments(),
        narayana_every_order(),
        phi_alternating_sum(),
        blocks_add_up(),
        free_expansion(q_exact),
        bracket_is_a_square(),
        difference_identity(q_paper, q_exact),
        eir_without_noise(),
        eir_with_noise(),
        finite_size(),
    )
