"""No proof is served from the cache of a mutation."""

from collections.abc import Iterator

import pytest

from sharpdiv.theory import symbolic


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """What a mutation computed must not serve the next test."""
    cached = (
        symbolic.moment,
        symbolic.phi_polynomial,
        symbolic.psi_polynomial,
        symbolic.block_moment,
        symbolic.trace,
        symbolic.joint_moment,
    )
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()
