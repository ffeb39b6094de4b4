"""Marchenko-Pastur moments: free cumulants are no classical ones, and their moments are Narayana sums."""

from math import comb

import numpy as np
import sympy as sp

from sharpdiv.theory.symbolic import moments
from tests.laws import Mutation, law
from tests.theory.symbolic.wrong import CLASSICAL


@law(CLASSICAL)
def test_moments_of_free_cumulants_count_non_crossing_partitions() -> None:
    k1, k2, k3, k4 = kappa = sp.symbols("kappa1:5")
    fourth = moments.free_moments(kappa)[4]
    assert sp.expand(fourth - (k4 + 4 * k3 * k1 + 2 * k2**2 + 6 * k2 * k1**2 + k1**4)) == 0
    semicircle = tuple(sp.Integer(order == 2) for order in range(1, 11))
    assert moments.free_moments(semicircle)[::2] == tuple(sp.catalan(m) for m in range(6))


@law(
    CLASSICAL,
    Mutation(
        "C(m, l)^2 / m",
        "sharpdiv.theory.symbolic.moments.narayana",
        lambda _: lambda m, level: comb(m, level) ** 2 // m,
    ),
    Mutation(
        "jump r instead of 1",
        "sharpdiv.theory.symbolic.moments.free_moments",
        lambda f: lambda c: f(tuple(np.cumprod(c))),
    ),
)
def test_moments_are_narayana_sums() -> None:
    assert moments.narayana_moments().holds


@law(
    Mutation(
        "C(a+1, b) for C(a, b)", "sharpdiv.theory.symbolic.moments.sp.binomial", lambda f: lambda a, b: f(a + 1, b)
    ),
)
def test_narayana_numbers_of_every_order() -> None:
    assert moments.narayana_every_order().holds
