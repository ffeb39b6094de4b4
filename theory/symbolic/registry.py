"""Every proof, in the order of the derivation."""

from sharpdiv.theory.symbolic.block_q import ClosedForm, bracket_is_a_square, difference_identity, free_expansion
from sharpdiv.theory.symbolic.improvement import eir_with_noise, eir_without_noise
from sharpdiv.theory.symbolic.moments import narayana_every_order, narayana_moments
from sharpdiv.theory.symbolic.phi import phi_alternating_sum
from sharpdiv.theory.symbolic.proof import Proof
from sharpdiv.theory.symbolic.wishart import finite_size
from sharpdiv.theory.symbolic.words import blocks_add_up

__all__ = ["proofs"]


def proofs(q_paper: ClosedForm, q_exact: ClosedForm) -> tuple[Proof, ...]:
    """Every statement of this package.

    Args:
        q_paper: the published Q of Theorem 2.
        q_exact: the exact one.

    Returns:
        The proofs, in the order of the derivation.

    Example:
        >>> from sharpdiv.theory.symbolic import proofs
        >>> from sharpdiv.theory.theorems.blocks import q_exact, q_paper
        >>> [proof.id for proof in proofs(q_paper, q_exact) if not proof.holds]
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
    )
