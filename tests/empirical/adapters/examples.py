"""Examples that doctest skips, as the libraries they need may be missing, run where they are there."""

import doctest
from types import ModuleType
from typing import Any

__all__ = ["run_example"]


def run_example(module: ModuleType, **names: Any) -> dict[str, Any]:
    """Run a module's example, whose placeholders are given, and return all names it has made."""
    (example,) = [test for test in doctest.DocTestFinder(recurse=False).find(module) if test.name == module.__name__]
    assert len(example.examples) > 3
    source = "".join(one.source for one in example.examples)
    assert source.count("\n") <= 15
    exec(compile(source, module.__name__, "exec"), names)  # noqa: S102
    return names
