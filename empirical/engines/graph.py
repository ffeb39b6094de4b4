"""Work as a graph: pieces, each a resumable function of files, and what they need of one another.

Training, measuring and the main job state their work as pieces; ``work`` does them, here, in processes or on a cluster.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

from sharpdiv.empirical.errors import GraphError

__all__ = ["Graph", "Piece"]


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Example: see ``Graph``.
    """

    name: str
    """what it makes; of two pieces with one name, which must do the same, one is done"""
    do: Callable[[], object]
    """partial of a top-level function, so that it can cross to another process; done again it skips what its files hold"""
    needs: tuple[str, ...] = ()
    """names of pieces that come before it"""
    cost: float = 0.0
    """units of work that are left of it, in some 10^6 operations of the network"""
    priority: int = 0
    """lower comes first, whatever the costs: the block of seeds"""
    here: bool = False
    """whether it is cheap, and for the process that hands out the work: two at once would write the same file"""

    def same_work(self, other: "Piece") -> bool:
        """Whether another piece does the same.

        Args:
            other: piece of the same name.

        Returns:
            Whether functions, arguments and needs are equal.
        """
        return _parts(self.do) == _parts(other.do) and set(self.needs) == set(other.needs)


class Graph:
    """Pieces by name, in the order in which they are started if they are ready at once.

    The lowest priority comes first, then the longest way to an end of the graph, by cost.

    Args:
        pieces: of work, in any order.

    Raises:
        GraphError: if a need is unknown, pieces wait for each other, or two of one name do different work.

    Examples:
        >>> from functools import partial
        >>> from sharpdiv.empirical.engines.graph import Graph, Piece
        >>> eat = Piece("eat", partial(print, "eaten"), needs=("cook",), cost=1)
        >>> graph = Graph([Piece("lay", partial(print, "laid"), cost=1.5), eat, Piece("cook", partial(print, "cooked"), cost=1)])
        >>> list(graph.pieces)  # two units from cook to the end, one and a half from lay
        ['cook', 'lay', 'eat']
        >>> Graph([eat])
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.GraphError: 'eat' needs 'cook', which no piece makes
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        found: dict[str, Piece] = {}
        for piece in pieces:
            known = found.setdefault(piece.name, piece)
            if not known.same_work(piece):
                raise GraphError(f"{piece.name!r} is the name of two different pieces of work; give each its own")
            found[piece.name] = replace(known, priority=min(known.priority, piece.priority))
        for piece in found.values():
            for name in piece.needs:
                if name not in found:
                    raise GraphError(f"{piece.name!r} needs {name!r}, which no piece makes")
        way = _ways(found)
        ranked = sorted(found.values(), key=lambda piece: (piece.priority, -way[piece.name]))
        self.pieces: Mapping[str, Piece] = MappingProxyType({piece.name: piece for piece in ranked})
        self.users = _users(found)
        """names of the pieces that need one, by its name"""

    def after(self, name: str) -> set[str]:
        """Pieces that cannot be done without one.

        Args:
            name: name of the one.

        Returns:
            Names of those that need it, and of those that need these.
        """
        found: set[str] = set()
        new = set(self.users[name])
        while new:
            found |= new
            new = {user for one in new for user in self.users[one]} - found
        return found


def _parts(do: Callable[[], object]) -> tuple[object, ...]:
    """What makes two partials the same work; they do not compare by themselves."""
    return (do.func, do.args, do.keywords) if isinstance(do, partial) else (do,)


def _users(pieces: Mapping[str, Piece]) -> Mapping[str, tuple[str, ...]]:
    users: dict[str, list[str]] = {name: [] for name in pieces}
    for piece in pieces.values():
        for name in dict.fromkeys(piece.needs):
            users[name].append(piece.name)
    return {name: tuple(of) for name, of in users.items()}


def _ways(pieces: Mapping[str, Piece]) -> dict[str, float]:
    """Cost of the longest way from each piece to an end, itself included."""
    try:
        order = list(TopologicalSorter({name: piece.needs for name, piece in pieces.items()}).static_order())
    except CycleError as error:
        raise GraphError(f"pieces wait for each other: {' -> '.join(map(repr, reversed(error.args[1])))}") from None
    users, ways = _users(pieces), dict.fromkeys(pieces, 0.0)
    for name in reversed(order):
        ways[name] = pieces[name].cost + max((ways[user] for user in users[name]), default=0.0)
    return ways
