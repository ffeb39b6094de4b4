"""Claims checked in processes are those checked here, in order."""

import pytest

from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.results import Evidence
from sharpdiv.empirical.errors import InputError

MANY = [claim for claim in CLAIMS if claim.id.startswith(("alternating-sum", "c1-", "c6-"))]


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
