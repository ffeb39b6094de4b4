"""Every proof holds and can be printed, and bad input is a typed error."""

import re
from collections.abc import Callable

import pytest

from sharpdiv.theory import symbolic
from sharpdiv.theory.errors import DomainError
from tests.theory.symbolic.wrong import gram


def test_every_proof_holds_and_can_be_printed() -> None:
    found = symbolic.proofs()
    assert [proof.id for proof in found if not proof.holds] == []
    assert len({proof.id for proof in found}) == len(found) == 10
    for proof in found:
        assert proof.title
        # Markdown takes a backslash before punctuation as an escape, and a bar or a line's end as the end of a cell.
        assert not re.search(r"\\[^A-Za-z]|[$|\n]", proof.latex), proof.latex
        assert proof.latex.count("{") == proof.latex.count("}")


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
