"""Checking claims, several at once: they are independent of each other, and some take half a minute."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec

from sharpdiv.checks.claim import Claim, Finding
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.errors import DivergenceError, InputError, NotMeasuredError, StoreError, WorkerError
from sharpdiv.theory.errors import ConvergenceError, DomainError

__all__ = ["check_claims"]

_WORTH_PROCESSES = 20
"""So many claims take longer than processes take to start."""


def check_claims(
    claims: Iterable[Claim],
    evidence: Evidence,
    *,
    workers: int | None = 1,
    say: Callable[[str], object] = print,
) -> tuple[tuple[Claim, Finding], ...]:
    """Check claims, saying each verdict in order as soon as it is there.

    Args:
        claims: to check; those of ``all_claims`` may be checked in other processes.
        evidence: what those about networks are checked on.
        workers: claims checked at once, in processes if more than one: a script then needs ``if __name__ == "__main__"``. None for
            one per usable core.
        say: told every verdict.

    Returns:
        Claims with what their checks found, in order.

    Raises:
        InputError: if there are to be fewer than one worker.
    """
    claims = tuple(claims)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    several = workers != 1 and len(claims) > _WORTH_PROCESSES and find_spec("torch") is not None
    several = several and all(_known().get(c.id) is c for c in claims)
    check = partial(_spread, workers=workers) if several else _here
    findings = []
    for claim, finding in zip(claims, check(claims, evidence), strict=True):
        findings.append((claim, finding))
        say(f"{claim.id:<24} {finding.verdict:<31} {claim.title}")
    return tuple(findings)


def _here(claims: Sequence[Claim], evidence: Evidence) -> Iterator[Finding]:
    return (_checked(claim, evidence) for claim in claims)


def _spread(claims: Sequence[Claim], evidence: Evidence, workers: int | None) -> Iterator[Finding]:
    """Findings in order; a check may be any function, so it is its claim's id that goes to the process."""
    import torch

    from sharpdiv.empirical.engines.workers import default_workers, processes

    at_once = workers or default_workers(torch.device("cpu"))
    if at_once == 1:
        yield from _here(claims, evidence)
        return
    with processes(at_once, evidence) as pool:
        yield from pool.map(_check, [claim.id for claim in claims])


def _check(name: str) -> Finding:
    from sharpdiv.empirical.engines.workers import shared

    return _checked(_known()[name], shared())


_TYPED = (InputError, StoreError, NotMeasuredError, DivergenceError, WorkerError, DomainError, ConvergenceError)


def _checked(claim: Claim, evidence: Evidence) -> Finding:
    """What a check finds; one of somebody else's may raise anything, and is named."""
    try:
        return claim.check(evidence)
    except _TYPED:
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise WorkerError(f"the check of {claim.id} went wrong ({found}): a mistake in the check") from error


@cache
def _known() -> dict[str, Claim]:
    # It brings PyTorch, as what follows does; one closed form does without.
    from sharpdiv.checks.registry import all_claims

    return {claim.id: claim for claim in all_claims()}
