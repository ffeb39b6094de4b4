"""Every proof holds and can be printed, and bad input is a typed error."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from sharpdiv.theory import symbolic
from sharpdiv.theory.errors import DomainError
from tests.theory.symbolic.wrong import gram


def test_every_proof_holds_and_can_be_printed() -> None:
    found = symbolic.proofs()
    assert [proof.id for proof in found if not proof.holds] == []
    assert len({proof.id for proof in found}) == len(found) == 19
    for proof in found:
        assert proof.title
        assert_latex(proof.latex)


def assert_latex(text: str) -> None:
    """Groups and delimiters close, and a backslash starts a command, a space or a brace: nothing is escaped for Markdown."""
    assert not re.search(r"[$\n]|\\[^A-Za-z,;:!{}| ]|\\\\", text), text
    bare = re.sub(r"\\[{}]", "", text)
    depth = [bare[:i].count("{") - bare[:i].count("}") for i in range(len(bare) + 1)]
    assert min(depth) == depth[-1] == 0, text
    for opening, closing in (
        (r"\\bigl", r"\\bigr"),
        (r"\\Bigl", r"\\Bigr"),
        (r"\\lvert", r"\\rvert"),
        (r"\\lbrace", r"\\rbrace"),
    ):
        assert len(re.findall(opening, text)) == len(re.findall(closing, text)), text


def test_what_is_escaped_for_markdown_is_no_latex() -> None:
    for wrong in (r"a \\, b", r"\_", "$x$", r"\bigl( x )", "{"):
        with pytest.raises(AssertionError):
            assert_latex(wrong)


def test_sympy_loads_when_a_proof_is_asked_for() -> None:
    code = (
        "import sys, sharpdiv.theory as t; t.sam_tradeoff; t.simulate; assert 'sympy' not in sys.modules; "
        "t.proofs; assert 'sympy' in sys.modules; print(t.Proof.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Proof\n"


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
