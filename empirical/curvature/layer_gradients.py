"""Squared gradient norm of every sample from one forward and one backward pass through known layers.

In evaluation mode samples do not interact, so the gradient of the summed loss at a layer's output holds every sample's own, and
the pass through the activations is all that autograd is asked for: weight gradients of the batch are never formed. While it
runs, each layer combines that gradient with its recorded input into the norms of its parameters' gradients (``layer_norms``). What
else the network uses parameters for is read from autograd's graph (``parameter_uses``).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from sharpdiv.empirical.batches import Inputs, leaves, outputs_of
from sharpdiv.empirical.curvature.layer_norms import NORMS, Rows, Run, matrix_norms, wide
from sharpdiv.empirical.curvature.layers import known_layers
from sharpdiv.empirical.curvature.parameter_uses import graph_of, uses_of
from sharpdiv.empirical.curvature.recording import LayerInputs, watched
from sharpdiv.empirical.errors import InputError

__all__ = ["UnderflowError", "fast_norms"]


class UnderflowError(InputError):
    """A layer runs in a precision in which gradients vanish."""


def fast_norms(
    model: nn.Module, inputs: Inputs, loss_of: Callable[[Tensor], Float[Tensor, ""]]
) -> Float[Tensor, " samples"]:
    """Squared norms of every sample's gradient, from what hooks on layers see; wrong where samples do not go through layers apart.

    Args:
        model: network in evaluation mode.
        inputs: inputs of a batch, first axis samples.
        loss_of: function from all outputs to the sum over samples of what is differentiated.

    Returns:
        One non-negative number for each sample.

    Raises:
        InputError: if there is no trainable parameter, two layers share one, one is used in a way that is not known, a layer runs
            in float16, or its input is changed in place afterwards.

    Example: see ``per_sample_sharpness``, which checks what this gives before it is used.
    """
    pass_ = _Pass(model, *_extent(inputs))
    with watched(model, pass_.layers, pass_.record, again=True), torch.enable_grad():
        loss = loss_of(outputs_of(model, inputs).to(pass_.total.dtype))
    return pass_.norms(loss)


def _extent(inputs: Inputs) -> tuple[int, torch.device]:
    """Number of samples, and where they are."""
    first = next(leaf for leaf in leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim)
    return len(first), first.device


class _Source(NamedTuple):
    """What is the same for all samples and used by them."""

    edge: GradientEdge
    shape: torch.Size
    tokens_first: bool
    norms: Callable[[list[Tensor | Rows]], Tensor]


class _Pass:
    """A forward pass and its backward pass, in which norms add up."""

    def __init__(self, model: nn.Module, samples: int, device: torch.device) -> None:
        self.model, self.samples = model, samples
        self.layers, self.others = known_layers(model)
        self.total = torch.zeros(samples, dtype=wide(next(model.parameters()).dtype), device=device)
        self._taken, self._roots = LayerInputs(), list[GradientEdge]()
        self._runs: dict[nn.Module, list[Run]] = defaultdict(list)
        self._common: list[tuple[nn.Embedding, Tensor, GradientEdge, torch.Size]] = []

    def record(self, layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep what a layer takes, and wait for the gradient at what it gives."""
        name = type(layer).__name__
        if output.dtype == torch.float16:
            raise UnderflowError(f"{name} runs in float16, where gradients underflow; use bfloat16 or float32")
        if not output.requires_grad:  # run under no_grad: no part of the loss
            return
        if isinstance(layer, nn.Embedding) and (arguments[0].ndim < 2 or len(arguments[0]) == 1):  # of positions, say
            self._common.append((layer, arguments[0], get_gradient_edge(output), output.shape))
            return
        if len(arguments) != 1 or len(arguments[0]) != self.samples:
            raise InputError(f"{name} is not called with one tensor that has samples on its first axis")
        run = self._taken.keep(layer, arguments)
        # Edges rather than tensors: what follows may work in place on the output (ReLU(inplace=True) does).
        if not arguments[0].requires_grad:
            self._roots.append(get_gradient_edge(output))
        output.register_hook(partial(self._add, layer, run))

    def _add(self, layer: nn.Module, run: int, gradient: Tensor) -> None:
        # Taken away, so that a layer's input is freed as soon as the backward pass has left it.
        self._runs[layer].append(Run(self._taken.take(layer, run), gradient))
        if not self._taken.left(layer):
            self._count(layer)

    def _count(self, layer: nn.Module) -> None:
        with torch.autocast(self.total.device.type, enabled=False):
            self.total.add_(NORMS[self.layers[layer]](layer, self._runs.pop(layer)))

    def norms(self, loss: Float[Tensor, ""]) -> Float[Tensor, " samples"]:
        """The sums of all layers' norms, after the backward pass."""
        self._taken.refuse_changed()
        if not loss.requires_grad:
            return self.total
        sources = list(self._sources())
        graph = graph_of(loss) if sources else {}
        uses = [list(uses_of(s.edge, s.shape, graph, self.samples, s.tokens_first)) for s in sources]
        outputs = [use.output for found in uses for use in found]
        gradients = iter(torch.autograd.grad(loss, self._roots + outputs, allow_unused=True)[len(self._roots) :])
        for layer in list(self._runs):  # one of its runs had no part in the loss
            self._count(layer)
        for source, found in zip(sources, uses, strict=True):
            reached = [(use, gradient) for use in found if (gradient := next(gradients)) is not None]
            if parts := [use.of_samples(gradient) for use, gradient in reached]:
                self.total += source.norms(parts).to(self.total.dtype)
        return self.total

    def _sources(self) -> Iterator[_Source]:
        """Parameters that no layer's forward has used, and what layers have looked up once for all samples."""
        common = [layer for layer, *_ in self._common]
        if any(layer in self._taken or common.count(layer) > 1 for layer in common):
            raise InputError("an embedding is looked up for all samples and elsewhere, too; use one for each")
        idle = [layer for layer in self.layers if layer not in self._taken and layer not in common]
        attention = [m for m in self.model.modules() if isinstance(m, nn.MultiheadAttention)]
        tokens_first = {id(p) for m in attention for p in m.parameters()}  # whatever batch_first says
        for p in (*self.others.values(), *(p for layer in idle for p in layer.parameters() if p.requires_grad)):
            yield _Source(get_gradient_edge(p), p.shape, id(p) in tokens_first, _parameter_norms)
        for layer, ids, edge, shape in self._common:
            yield _Source(edge, shape, False, partial(_looked_up_norms, layer, ids))


def _parameter_norms(parts: list[Tensor | Rows]) -> Tensor:
    """Squared norms of the sum of all uses' gradients."""
    rows = [part for part in parts if isinstance(part, Rows)]
    if rows and len(rows) < len(parts):
        raise InputError("a parameter is used as a matrix and elsewhere, too")
    if rows:
        return matrix_norms(rows, rows[0].inputs.shape[-1] * rows[0].gradient.shape[-1])
    total = _total(parts)
    total = total.reshape(len(total), -1)
    return total.to(wide(total.dtype)).square().sum(1)


def _looked_up_norms(layer: nn.Embedding, ids: Tensor, parts: list[Tensor | Rows]) -> Tensor:
    """The same for an embedding's weight, of which all samples look up one part."""
    total = _total(parts)
    run = Run(ids.reshape(1, -1).expand(len(total), -1), total.reshape(len(total), -1, total.shape[-1]))
    return NORMS[nn.Embedding](layer, [run])


def _total(parts: list[Tensor | Rows]) -> Tensor:
    return torch.stack([part for part in parts if isinstance(part, Tensor)]).sum(0)
