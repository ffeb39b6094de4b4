"""Where a network's forward pass has used parameters outside of layers that are known, as autograd's graph tells.

A parameter that is broadcast over the samples (a class token, positions, a scale for each channel) or multiplied with rows of
samples (the projections within multi-head attention) has a gradient of each sample, which follows from the gradient at the output
of the operation that uses it. Gradients of all its uses add up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from sharpdiv.empirical.curvature.layer_norms import Rows
from sharpdiv.empirical.errors import InputError

__all__ = ["Graph", "Use", "graph_of", "uses_of"]

Graph = dict[Node, list[tuple[Node, int]]]
"""operations that use the output of each, and as which of their arguments"""


class Use(NamedTuple):
    """One operation that uses a parameter.

    Example: see ``uses_of``.
    """

    output: GradientEdge
    """where the gradient at its output is asked for"""
    of_samples: Callable[[Tensor], Tensor | Rows]
    """from that gradient to the parameter's gradient of each sample ``(samples, *shape)``, or to rows whose product it is"""


def graph_of(loss: Tensor) -> Graph:
    """The operations that led to a tensor, by what they use.

    Args:
        loss: result of a forward pass.

    Returns:
        Users of every operation and parameter.

    Examples:
        >>> import torch
        >>> from torch.autograd.graph import get_gradient_edge
        >>> from sharpdiv.empirical.curvature.parameter_uses import graph_of
        >>> scale = torch.nn.Parameter(torch.ones(3))
        >>> [(node.name(), place) for node, place in graph_of((2 * scale).sum())[get_gradient_edge(scale).node]]
        [('MulBackward0', 0)]
    """
    users: Graph = defaultdict(list)
    waiting = [loss.grad_fn] if loss.grad_fn is not None else []
    seen = set(waiting)
    while waiting:
        user = waiting.pop()
        for place, (node, _) in enumerate(user.next_functions):
            if node is not None:
                users[node].append((user, place))
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
    return users


def uses_of(
    source: GradientEdge, shape: torch.Size, graph: Graph, samples: int, tokens_first: bool = False
) -> Iterator[Use]:
    """The operations that use a parameter, or another tensor that is the same for all samples.

    Args:
        source: the tensor in the graph.
        shape: its shape.
        graph: from ``graph_of``.
        samples: number of samples.
        tokens_first: whether rows that a matrix is multiplied with are ordered by tokens before samples.

    Yields:
        Every use.

    Raises:
        InputError: if one is of another kind.

    Examples:
        >>> import torch
        >>> from torch.autograd.graph import get_gradient_edge
        >>> from sharpdiv.empirical.curvature.parameter_uses import graph_of, uses_of
        >>> shift, inputs = torch.nn.Parameter(torch.zeros(3)), torch.ones(2, 5, 3)
        >>> (use,) = uses_of(get_gradient_edge(shift), shift.shape, graph_of((inputs + shift).sum()), samples=2)
        >>> use.of_samples(inputs)  # ones at the sum: each of 5 positions counts
        tensor([[5., 5., 5.],
                [5., 5., 5.]])
    """
    for user, place in graph[source.node]:
        name = user.name()
        if name == "TBackward0":  # of a matrix
            yield from _products(user, graph, samples, tokens_first)
        elif name == "AddmmBackward0" and place == 0 and _saved(user, "beta") == 1:
            yield Use(GradientEdge(user, 0), partial(_of_shift, samples, tokens_first))
        elif (factor := _factor(user, place)) is not None:
            yield Use(GradientEdge(user, 0), partial(_of_broadcast, factor, shape, samples, tokens_first))
        else:
            raise InputError(f"a parameter is used without its layer's forward, by {name}: call the layer instead")


def _saved(user: Node, name: str) -> Any:
    """What an operation has kept for its backward pass."""
    return getattr(user, f"_saved_{name}")


def _factor(user: Node, place: int) -> Tensor | float | None:
    """What the gradient at an operation's output is multiplied with on its way to an argument; None if it is no such operation."""
    match user.name():
        case "ExpandBackward0":
            return 1.0
        case "AddBackward0":
            return 1.0 if place == 0 else float(_saved(user, "alpha"))
        case "MulBackward0":
            other = _saved(user, "self" if place else "other")
            return None if other is None else other.detach()
    return None


def _products(transposed: Node, graph: Graph, samples: int, tokens_first: bool) -> Iterator[Use]:
    """Products of rows with a transposed matrix."""
    for user, place in graph[transposed]:
        if user.name() == "AddmmBackward0" and place == 2 and _saved(user, "alpha") == 1:
            rows = _saved(user, "mat1")
        elif user.name() == "MmBackward0" and place == 1:
            rows = _saved(user, "self")
        else:
            raise InputError(
                f"a parameter is used without its layer's forward, by {user.name()}: call the layer instead"
            )

        yield Use(GradientEdge(user, 0), partial(_rows, rows.detach(), samples, tokens_first))


def _rows(inputs: Tensor, samples: int, tokens_first: bool, gradient: Tensor) -> Rows:
    inputs, gradient = (_by_samples(each, samples, tokens_first) for each in (inputs, gradient))
    return Rows(nn.Identity(), inputs, gradient)


def _by_samples(rows: Tensor, samples: int, tokens_first: bool) -> Tensor:
    """Rows ``(samples, positions, features)``."""
    if len(rows) % samples:
        raise InputError(f"{len(rows)} rows are not those of {samples} samples")
    if tokens_first:
        return rows.reshape(-1, samples, rows.shape[-1]).transpose(0, 1)
    return rows.reshape(samples, -1, rows.shape[-1])


def _of_shift(samples: int, tokens_first: bool, gradient: Tensor) -> Tensor:
    """The gradient at rows of a product, summed for each sample."""
    return _by_samples(gradient, samples, tokens_first).sum(1)


def _of_broadcast(
    factor: Tensor | float, shape: torch.Size, samples: int, tokens_first: bool, gradient: Tensor
) -> Tensor:
    """The gradient at a result, summed for each sample over what a tensor of another shape was broadcast to."""
    gradient = (gradient * factor).transpose(0, int(tokens_first))
    inner = shape[1:] if len(shape) == gradient.ndim and shape[:1] == (1,) else shape
    if len(gradient) != samples or len(inner) >= gradient.ndim:
        raise InputError(f"a parameter of shape {list(shape)} is not broadcast over samples on the first axis")
    lead = gradient.ndim - len(inner)
    axes = [*range(1, lead), *(lead + i for i, size in enumerate(inner) if size == 1)]
    return (gradient.sum(axes) if axes else gradient).reshape(samples, *shape)
