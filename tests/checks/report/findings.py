"""Findings to render without checking anything."""

from sharpdiv.checks.claim import Claim, Effect, Finding, Verdict, number
from sharpdiv.checks.quantity import Quantity, Row, several
from sharpdiv.checks.registry import CLAIMS

__all__ = ["MADE_UP", "PIXEL", "hostile", "made_up"]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
"""A PNG file of one pixel."""

_ROWS: tuple[Row, ...] = (
    ("log ratio|of D", Quantity(-0.25, low=-0.5, high=-0.01, p=0.012, adjusted=0.04)),
    ("several", several([number(1.0, 0.25, name="SGD "), number(float("nan"))])),
    ("in words", "no overlap"),
)
_EFFECT = Effect(
    label="a comparison",
    estimate=-0.25,
    low=-0.5,
    high=-0.01,
    unit="log ratio",
    delta=0.05,
    direction=-1,
    n=24,
    decides=True,
)


def made_up(place: int) -> Finding:
    """One of every verdict in turn, with numbers and an effect."""
    verdict = list(Verdict)[place % len(Verdict)]
    return Finding(verdict, _ROWS, f"Remark {place}.", (_EFFECT,), confirmed=(None, False, True)[place % 3])


MADE_UP: tuple[tuple[Claim, Finding], ...] = tuple((claim, made_up(place)) for place, claim in enumerate(CLAIMS))
"""Every claim with a finding."""


def hostile() -> Claim:
    """Whatever of a claim is text is markup."""
    evil = "<script>alert('x')</script>"
    return Claim(
        id="evil",
        subject="paper",
        title=evil,
        statement=evil,
        source=evil,
        method=evil,
        tolerance=evil,
        seed=None,
        check=lambda _: Finding(Verdict.HOLDS),
        about=("C1",),
        where="digits",
        command=evil,
    )
