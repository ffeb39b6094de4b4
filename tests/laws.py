"""Laws with teeth: a property test that names wrong formulas and is run against each of them, where it must fail."""

import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis.strategies import SearchStrategy
from jaxtyping import config

__all__ = ["Mutation", "law", "types_unchecked"]

everything = False
"""Whether all tests run, slow ones too; pytest's configuration says."""


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
        examples: hypothesis examples; of the law itself half as many unless all tests run, of wrong variants always all.
        **strategies: one for each argument of the test; none for a test without arguments.

    Returns:
        A decorator.
    """
    assert mutations, "a law that rejects nothing proves nothing"

    def decorate(body: Callable[..., None]) -> Callable[..., None]:
        def check(count: int, *phases: Phase) -> None:
            if not strategies:
                body()
                return
            settings(max_examples=count, phases=phases)(given(**strategies)(_types_checked_at_first(body)))()

        def run(mutation: Mutation | None) -> None:
            if mutation is None:
                check(examples if everything else (examples + 1) // 2, Phase.explicit, Phase.generate, Phase.shrink)
                return
            original = pkgutil.resolve_name(mutation.target)
            with (
                types_unchecked(),
                patch(mutation.target, mutation.change(original)),
                pytest.raises(AssertionError),
            ):
                check(examples, Phase.explicit, Phase.generate)

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        names = [f"rejects {m.name}" for m in mutations]
        return pytest.mark.parametrize("mutation", [None, *mutations], ids=["holds", *names])(run)

    return decorate


_CHECKED = 3
"""Examples of a law whose shapes and types are checked at run time: further ones have the same, and checking takes time."""


@contextmanager
def types_unchecked() -> Iterator[None]:
    """Without shape and type checks, as users run it.

    Yields:
        Nothing.
    """
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)


def _types_checked_at_first(body: Callable[..., None]) -> Callable[..., None]:
    """The same law, whose first examples only are checked for shapes and types."""
    left = count(_CHECKED, -1)

    @wraps(body)
    def run(**values: Any) -> None:
        with nullcontext() if next(left) > 0 else types_unchecked():
            body(**values)

    return run
