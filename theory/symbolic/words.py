"""A word calculus: traces of products of free blocks, from the definition of freeness."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import sympy as sp
from sympy.utilities.iterables import multiset_partitions

from sharpdiv.theory.errors import require_integer
from sharpdiv.theory.symbolic.moments import moment, narayana_sum
from sharpdiv.theory.symbolic.proof import Proof, equal
from sharpdiv.theory.symbolic.symbols import r, r1, s

__all__ = ["FILTER", "GRAM", "Letter", "block_moment", "blocks_add_up", "falling", "sum_over_blocks", "trace"]

FILTER, GRAM = (1, 0), (0, 1)  # powers (filters, data) of the letters A and W


@dataclass(frozen=True)
class Letter:
    """The monomial ``A^filters W^data`` of one block, ``A = q(W)^k``; factors of one block commute.

    Examples:
        >>> from sharpdiv.theory.symbolic import Letter
        >>> Letter(0, 1, 0) * Letter(0, 0, 2)
        Letter(block=0, filters=1, data=2)
    """

    block: int
    """label; different labels are free"""
    filters: int
    """power of A"""
    data: int
    """power of W"""

    def __mul__(self, other: "Letter") -> "Letter":
        return Letter(self.block, self.filters + other.filters, self.data + other.data)


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

    Examples:
        >>> from sharpdiv.theory.symbolic import block_moment
        >>> block_moment(2, 1), block_moment(0, 2)
        (q1, r1**2 + r1)
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

    Examples:
        >>> from sharpdiv.theory.symbolic import Letter, trace
        >>> a, b = Letter(0, 0, 1), Letter(1, 0, 1)  # W of two blocks
        >>> trace((a, b, a, b))  # 2 tau(a^2) tau(b)^2 - tau(a)^4, for free a and b of the same law
        r1**4 + 2*r1**3
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


def sum_over_blocks(letters: tuple[tuple[int, int], ...]) -> dict[int, sp.Expr]:
    """Trace of a product of sums over all blocks, ``tau(prod_p sum_i A_i^(f_p) W_i^(d_p))``.

    Blocks are alike, so a choice of blocks counts only by which positions agree: a set partition into k classes stands
    for ``s (s-1) ... (s-k+1)`` choices.

    Args:
        letters: pairs ``(f_p, d_p)`` of powers, one for each factor.

    Returns:
        The sum of traces for each k.

    Examples:
        >>> from sharpdiv.theory.symbolic.words import GRAM, sum_over_blocks
        >>> levels = sum_over_blocks((GRAM, GRAM))
        >>> levels[1], levels[2]  # tau(W_i W_j) in one block and in two
        (r1**2 + r1, r1**2)
    """
    levels: dict[int, sp.Expr] = defaultdict(lambda: sp.Integer(0))
    for partition in multiset_partitions(len(letters)):
        block = {place: label for label, places in enumerate(partition) for place in places}
        levels[len(partition)] += trace(tuple(Letter(block[p], *powers) for p, powers in enumerate(letters)))
    return dict(levels)


def falling(levels: dict[int, sp.Expr]) -> sp.Expr:
    """The polynomial ``sum_k s (s-1) ... (s-k+1) levels[k]`` in the number s of blocks.

    Args:
        levels: coefficients by k.

    Returns:
        The sum, in SymPy's falling factorials.

    Examples:
        >>> import sympy
        >>> from sharpdiv.theory.symbolic.words import GRAM, falling, sum_over_blocks
        >>> sympy.factor(sympy.expand_func(falling(sum_over_blocks((GRAM, GRAM)))))  # r (1 + r) at r = s r1
        r1*s*(r1*s + 1)
    """
    return sum(sp.ff(s, k) * level for k, level in levels.items())


def blocks_add_up(order: int = 5) -> Proof:
    """The blocks' W sum to the full data's, whose moments are known: the word calculus checked against itself.

    Args:
        order: largest m.

    Returns:
        The proof for ``m <= order`` and every number of blocks.

    Examples:
        >>> from sharpdiv.theory.symbolic import blocks_add_up
        >>> blocks_add_up(order=3).holds
        True
    """
    return Proof(
        "free-blocks-add",
        f"s free blocks of ratio r1 add up to the Marchenko-Pastur law of ratio s r1, moments up to {order}",
        rf"\tau\bigl((W_1 + \dots + W_s)^m\bigr) = \sum_l N(m,l) (s r_1)^l,\quad m \le {order}",
        all(equal(falling(sum_over_blocks((GRAM,) * m)), narayana_sum(m).subs(r, s * r1)) for m in range(1, order + 1)),
    )
