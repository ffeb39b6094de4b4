"""Theorem 2's Q: its exact form from freeness, and its distance from the published one.

The closed forms are arguments, so that a wrong one can be shown to fail.
"""

from collections.abc import Callable
from typing import Any

import sympy as sp

from sharpdiv.theory.symbolic.proof import Proof, equal
from sharpdiv.theory.symbolic.symbols import r1, s
from sharpdiv.theory.symbolic.words import FILTER, GRAM, block_moment, falling, sum_over_blocks

__all__ = ["ClosedForm", "bracket_is_a_square", "difference_identity", "free_expansion"]

ClosedForm = Callable[..., Any]
"""A formula of Theorem 2 in ``(s, r1, m0, m1, m2, q0, q1, q2)``, in plain arithmetic."""


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

    Examples:
        >>> from sharpdiv.theory.symbolic import free_expansion
        >>> from sharpdiv.theory.theorems.blocks import q_exact, q_paper
        >>> free_expansion(q_exact).holds, free_expansion(q_paper).holds
        (True, False)
    """
    levels = sum_over_blocks((FILTER, GRAM, GRAM, FILTER))
    derived = r" + ".join(rf"s^{{\underline{{{k}}}}}\Bigl({sp.latex(levels[k])}\Bigr)" for k in sorted(levels))
    return Proof(
        "q-free-expansion",
        "The exact Q of Theorem 2 follows from freeness of the blocks",
        r"\tau\bigl(\lvert W \textstyle\sum_i A_i \rvert^2\bigr) = "
        rf"{derived},\quad s^{{\underline{{k}}}} = s(s-1)\cdots(s-k+1),\quad m_j = \varphi(k,j),"
        r"\quad q_j = \varphi(2k,j)",
        equal(falling(levels), _closed(q_exact)),
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

    Examples:
        >>> from sharpdiv.theory.symbolic import bracket_is_a_square
        >>> bracket_is_a_square().holds
        True
    """
    m0, m1, q0 = block_moment(1, 0), block_moment(1, 1), block_moment(2, 0)
    covariance, square = _brackets()
    return Proof(
        "q-brackets",
        "The brackets in the gap of Theorem 2's bound are a covariance and a mean square",
        r"m_1 - m_0 r_1 = \tau\bigl((A - m_0)(W_1 - r_1)\bigr),\quad"
        r" r_1^2 q_0 - 2 r_1 m_0 m_1 + m_0^2 r_1 (1 + r_1) = \tau\bigl((r_1 A - m_0 W_1)^2\bigr) \ge 0",
        equal(covariance, m1 - m0 * r1) and equal(square, r1**2 * q0 - 2 * r1 * m0 * m1 + m0**2 * r1 * (1 + r1)),
    )


def difference_identity(q_paper: ClosedForm, q_exact: ClosedForm) -> Proof:
    """The published Q exceeds the exact one by two squares.

    Args:
        q_paper: the published closed form.
        q_exact: the exact one.

    Returns:
        The proof.

    Examples:
        >>> from sharpdiv.theory.symbolic import difference_identity
        >>> from sharpdiv.theory.theorems.blocks import q_exact, q_paper
        >>> difference_identity(q_paper, q_exact).holds
        True
    """
    covariance, square = _brackets()
    gap = s * (s - 1) * covariance**2 + s * (s - 1) * (s - 2) / 2 * square
    return Proof(
        "q-difference",
        "The published Q exceeds the exact one by two squares",
        r"Q_{\mathrm{paper}} - Q_{\mathrm{exact}} = s(s-1) (m_1 - m_0 r_1)^2"
        r" + \tfrac{1}{2} s(s-1)(s-2) \tau\bigl((r_1 A - m_0 W_1)^2\bigr)",
        equal(_closed(q_paper) - _closed(q_exact), gap),
    )
