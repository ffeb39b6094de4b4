"""Laws with teeth: a property test that names wrong formulas and is run against each of them, where it must fail."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis.strategies import SearchStrategy

__all__ = ["Mutation", "law"]


@dataclass(frozen=True)
class Mutation:
    """A wrong variant of one name of ours."""

    name: str
    """what is wrong, in words"""
    target: str
    """dotted path of what is replaced, where it is looked up"""
    change: Callable[[Any], Any]
    """from the original to the wrong variant"""


def law(
    *mutations: Mutation, examples: int = 40, **strategies: SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a test into one that holds for the code as it is and fails for every mutation.

    Args:
        *mutations: wrong variants the law must reject, at least one.
        examples: hypothesis examples.
        **strategies: one for each argument of the test; none for a test without arguments.

    Returns:
        A decorator.
    """
    assert mutations, "a law that rejects nothing proves nothing"

    def decorate(body: Callable[..., None]) -> Callable[..., None]:
        def check(*, phases: tuple[Phase, ...]) -> None:
            if not strategies:
                body()
                return
            settings(max_examples=examples, phases=phases)(given(**strategies)(body))()

        def run(mutation: Mutation | None) -> None:
            if mutation is None:
                check(phases=(Phase.explicit, Phase.generate, Phase.shrink))
                return
            original = pkgutil.resolve_name(mutation.target)
            with patch(mutation.target, mutation.change(original)), pytest.raises(AssertionError):
                check(phases=(Phase.explicit, Phase.generate))

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        names = [f"rejects {m.name}" for m in mutations]
        return pytest.mark.parametrize("mutation", [None, *mutations], ids=["holds", *names])(run)

    return decorate
