"""Claims checked in processes are those checked here, in order; what a claim must not be is said."""

from dataclasses import replace
from typing import Any

import pytest

from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.claim import Finding
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.empirical.errors import InputError, NotMeasuredError, WorkerError
from tests.laws import types_unchecked

MANY = [claim for claim in CLAIMS if claim.id.startswith(("alternating-sum", "c1-", "c6-"))]


@pytest.mark.long
@pytest.mark.slow
def test_processes_find_the_same_in_the_same_order() -> None:
    said: list[list[str]] = [[], []]
    assert len(MANY) > 20
    here, there = (check_claims(MANY, Evidence(), workers=n, say=said[n - 1].append) for n in (1, 2))
    assert here == there
    assert said[0] == said[1]
    assert [claim.id for claim, _ in there] == [claim.id for claim in MANY]


def test_a_number_of_workers_is_positive() -> None:
    with pytest.raises(InputError, match="workers must be at least 1, got 0"):
        check_claims(MANY, Evidence(), workers=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subject": "theory"}, "subject must be one of paper, transfer, implementation, networks; got 'theory'"),
        ({"about": "C1"}, "about must be a tuple of names, got the text 'C1'"),
    ],
)
def test_a_claim_of_another_kind_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(MANY[0], **wrong)


def test_a_check_that_goes_wrong_is_named() -> None:
    claim = replace(MANY[0], id="mine", check=lambda _: Finding("great"))  # type: ignore[arg-type]
    with types_unchecked(), pytest.raises(InputError, match="verdict must be one of Verdict, got 'great'"):
        check_claims([claim], Evidence())
    with pytest.raises(WorkerError, match=r"the check of mine went wrong .ZeroDivisionError: division by zero."):
        check_claims([replace(claim, check=lambda _: 1 / 0)], Evidence())  # type: ignore[arg-type,return-value]


def test_errors_of_ours_stay_what_they_are() -> None:
    def check(_: Evidence) -> Finding:
        raise NotMeasuredError("there are no validation images")

    with pytest.raises(NotMeasuredError, match="no validation images"):
        check_claims([replace(MANY[0], check=check)], Evidence())
