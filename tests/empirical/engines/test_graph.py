"""Graphs of work: what fits together, and which piece comes first."""

from functools import partial

import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.errors import GraphError
from tests.laws import Mutation, law


def nothing(_: object = None) -> None:
    """Do it."""


def piece(name: str, *needs: str, cost: float = 1.0, priority: int = 0) -> Piece:
    return Piece(name, partial(nothing, name), needs, cost, priority)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([piece("b", "a")], "'b' needs 'a', which no piece makes"),
        ([piece("a", "c"), piece("b", "a"), piece("c", "b")], "wait for each other: .*'a'"),
        ([piece("a", "a")], "wait for each other: 'a' -> 'a'"),
        ([piece("a"), Piece("a", partial(nothing, "other"))], "'a' is the name of two different pieces"),
        ([piece("b"), piece("a"), piece("a", "b")], "'a' is the name of two different pieces"),
    ],
)
def test_what_does_not_fit_together_is_refused(pieces: list[Piece], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Graph(pieces)


def test_one_piece_of_work_may_be_asked_for_twice() -> None:
    """By a later block first, for example: it comes when the earlier one wants it."""
    graph = Graph([piece("a", priority=2), piece("b", priority=1), piece("a", priority=0)])
    assert list(graph.pieces) == ["a", "b"]


Drawn = tuple[int, set[int], float, int]
"""Name, needs, cost and priority; made to a piece in the test, as checks of types draw random numbers, and strategies must not."""


@st.composite
def graphs(draw: st.DrawFn) -> list[Drawn]:
    """Pieces that need some of those before them, in any order."""
    drawn = []
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        drawn.append((number, needs, draw(st.sampled_from([0.0, 1.0, 2.5])), draw(st.integers(0, 1))))
    return draw(st.permutations(drawn))


def longest(name: str, pieces: dict[str, Piece]) -> float:
    """By every way."""
    users = [other for other, of in pieces.items() if name in of.needs]
    return pieces[name].cost + max((longest(user, pieces) for user in users), default=0.0)


@law(
    Mutation(
        "by own cost",
        "sharpdiv.empirical.engines.graph._ways",
        lambda _: lambda pieces: {n: p.cost for n, p in pieces.items()},
    ),
    Mutation(
        "the shortest",
        "sharpdiv.empirical.engines.graph._ways",
        lambda f: lambda pieces: {n: -w for n, w in f(pieces).items()},
    ),
    drawn=graphs(),
)
def test_the_longest_way_of_the_first_block_comes_first(drawn: list[Drawn]) -> None:
    pieces = [piece(str(n), *map(str, needs), cost=cost, priority=rank) for n, needs, cost, rank in drawn]
    graph = Graph(pieces)
    by_name = {each.name: each for each in pieces}
    ranks = [(by_name[name].priority, -longest(name, by_name)) for name in graph.pieces]
    assert ranks == sorted(ranks)
    for name in by_name:
        after = {other for other in by_name if name in by_name[other].needs}
        assert graph.after(name) == after.union(*map(graph.after, after))
