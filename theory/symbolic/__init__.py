"""Symbolic proofs of the algebra behind the theory: derived by SymPy, then compared with the closed forms.

Nothing here is numerical and no derivation starts from the formula it ends at. Marchenko-Pastur moments come from free
cumulants, the mixed moments of Theorem 2 from the definition of freeness, finite-size moments from Gaussian integration
by parts.
"""

from sharpdiv.theory.symbolic.block_q import ClosedForm, bracket_is_a_square, difference_identity, free_expansion
from sharpdiv.theory.symbolic.improvement import eir_with_noise, eir_without_noise
from sharpdiv.theory.symbolic.moments import free_moments, moment, narayana_every_order, narayana_moments
from sharpdiv.theory.symbolic.phi import phi_alternating_sum, phi_polynomial, psi_polynomial
from sharpdiv.theory.symbolic.proof import Proof
from sharpdiv.theory.symbolic.registry import proofs
from sharpdiv.theory.symbolic.two_layer import (
    origin_attracts,
    two_layer_friction,
    two_layer_hyperbola,
    two_layer_improvement,
    two_layer_null_space,
)
from sharpdiv.theory.symbolic.wishart import finite_size, joint_moment
from sharpdiv.theory.symbolic.words import Letter, block_moment, blocks_add_up, trace

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
    "origin_attracts",
    "phi_alternating_sum",
    "phi_polynomial",
    "proofs",
    "psi_polynomial",
    "trace",
    "two_layer_friction",
    "two_layer_hyperbola",
    "two_layer_improvement",
    "two_layer_null_space",
]
