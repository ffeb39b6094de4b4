"""Every proof, in the order of the derivation."""

from sharpdiv.theory.symbolic import diagonal
from sharpdiv.theory.symbolic.block_q import bracket_is_a_square, difference_identity, free_expansion
from sharpdiv.theory.symbolic.improvement import eir_with_noise, eir_without_noise
from sharpdiv.theory.symbolic.moments import narayana_every_order, narayana_moments
from sharpdiv.theory.symbolic.phi import phi_alternating_sum
from sharpdiv.theory.symbolic.proof import Proof
from sharpdiv.theory.symbolic.two_layer import (
    origin_attracts,
    two_layer_friction,
    two_layer_hyperbola,
    two_layer_improvement,
    two_layer_null_space,
)
from sharpdiv.theory.symbolic.wishart import finite_size
from sharpdiv.theory.symbolic.words import blocks_add_up
from sharpdiv.theory.theorems.blocks import q_exact, q_paper

__all__ = ["proofs"]


def proofs() -> tuple[Proof, ...]:
    """The algebra behind the closed forms, derived by SymPy and compared with the code's formulas; takes some seconds.

    Returns:
        The proofs, in the order of the derivation.

    Examples:
        >>> from sharpdiv.theory import proofs
        >>> [proof.id for proof in proofs() if not proof.holds]
        []
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
        diagonal.sam_shrinks_alpha(),
        diagonal.hypentropy_end(),
        diagonal.flow_pythagoras(),
        diagonal.common_fall_flattens(),
        two_layer_null_space(),
        two_layer_improvement(),
        two_layer_hyperbola(),
        two_layer_friction(),
        origin_attracts(),
    )
