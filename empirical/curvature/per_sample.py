"""Squared gradient norm of every sample: by a fast route where layers are known and it has proved right, by a slow one elsewhere.

Before the fast route is used on a network, its result for a few samples is compared with autograd's for each of them alone. The
comparison is made once for a network as long as its modules, what is trainable, and the kind of the inputs stay the same.
"""

import warnings
from collections.abc import Hashable, Mapping
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vmap

from sharpdiv.empirical.batches import (
    Batch,
    Inputs,
    Loss,
    as_batch,
    leaves,
    refilled,
    rows,
    samples_of,
)
from sharpdiv.empirical.curvature.layer_gradients import UnderflowError, fast_norms
from sharpdiv.empirical.curvature.sample_gradients import close, outputs_apart, slow_norms, squared_norm
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.errors import InputError

__all__ = ["per_sample_sharpness"]

_TRIED = 3
"""Samples on which the fast route must prove right."""
_FOUND: WeakKeyDictionary[nn.Module, dict[Hashable, str]] = WeakKeyDictionary()
"""Why the fast route cannot be taken, by network and kind of call; empty where it can."""
_KEPT = 16
"""Kinds of call of one network whose verdict is kept."""
_PLAIN = (bool, int, float, str, Enum, torch.dtype, type(None))
"""Kinds of attributes that switch what a forward does, as callables do, and collections of them."""
_LOOKED_AT = 64
"""Items of a collection that are looked at."""
_EVERY_MODULES = frozenset(vars(nn.Module()))


def per_sample_sharpness(
    model: nn.Module, inputs: Inputs, targets: Tensor, loss: Loss = nn.functional.cross_entropy
) -> Float[Tensor, " samples"]:
    """Squared norm of the loss's gradient for each sample: for the cross-entropy, the trace of its empirical Fisher matrix.

    Evaluation mode is set for the measurement and restored after it; gradients stored on the parameters are left alone.
    Frozen parameters (``requires_grad`` False) do not count, nor do the weights that a fixed ``mask`` removes.

    One forward and one backward pass suffice where trainable parameters sit in linear layers, convolutions, embeddings, batch,
    group, layer and root mean square norms or multi-head attention of PyTorch's, used any number of times, or are added to,
    multiplied with or expanded to all samples (class tokens, positions, scales). A subclass of ``Linear`` or ``Conv2d`` with its
    own ``forward`` must compute with ``weight * mask``, where its attribute ``mask`` has the shape of the weight. Other networks,
    and those on which that fails against autograd, take a slow route, which one warning tells: a gradient for each sample, by
    ``vmap`` where the network allows it.

    The comparison is of three samples, the first, one in the middle and the last. A network that uses a weight outside of its layer
    for some samples only, and for none of these three, is not found out: nothing but a gradient for each sample could tell. Write
    it so that every sample goes the same way, or weigh its ways by 0 and 1.

    The layout and precision of the pass are the caller's. Channels-last images are fastest on a CPU. Under
    ``torch.autocast`` to bfloat16 each entry of a gradient carries that format's rounding, 2^-9, at every layer it has passed;
    squares are summed in float32.

    Args:
        model: network; a sample's outputs must not depend on the other samples, nor on chance.
        inputs: inputs of a batch, first axis samples: a tensor, a tuple of arguments or a dictionary of keyword arguments; split
            large sets into batches.
        targets: class labels, or whatever the loss takes, first axis samples.
        loss: mean loss of outputs and targets.

    Returns:
        One non-negative number for each sample.

    Raises:
        InputError: if there is no trainable parameter or sample, a label is none of the classes, samples interact, the network is
            random in evaluation mode, or it runs in float16.

    Examples:
        >>> import torch
        >>> from sharpdiv import per_sample_sharpness
        >>> model = torch.nn.Linear(2, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(model.weight)  # both classes have probability 1/2: |g|^2 = 2 (1/2)^2 |x|^2
        >>> per_sample_sharpness(model, torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor([12.5000,  0.5000])
    """
    inputs, targets = as_batch((inputs, targets))
    batch = refilled(inputs, [leaf.detach() for leaf in leaves(inputs) if isinstance(leaf, Tensor)]), targets
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError("the model has no trainable parameters")
    known, kind = _FOUND.setdefault(model, {}), _kind(model, batch)
    if kind not in known:
        if len(known) > _KEPT:  # of a network that counts its passes, say
            known.clear()
        known[kind] = _obstacle(model, batch)
        if known[kind]:
            _warn(known[kind])
    if loss is nn.functional.cross_entropy and not batch[1].is_floating_point() and int(batch[1].min()) < 0:
        raise InputError(f"labels must be classes counted from 0, got {int(batch[1].min())}: leave such samples out")
    loss = _of_classes if loss is nn.functional.cross_entropy else loss
    with untouched(model):
        if not known[kind]:
            try:
                return fast_norms(model, batch[0], partial(_summed, loss, batch[1]))
            except _NotMeanError as error:
                _warn(str(error))
        return slow_norms(model, batch, loss)


class _NotMeanError(Exception):
    """A loss is no plain mean over samples."""


def _warn(reason: str) -> None:
    warnings.warn(f"gradients are taken sample by sample, which is slow, because {reason}", UserWarning, stacklevel=3)


def _kind(model: nn.Module, batch: Batch) -> Hashable:
    """What decides whether the fast route is right: modules and how they are set, what is trainable, the inputs' kind."""
    inputs = tuple(map(_kind_of, leaves(batch[0])))
    few = min(_TRIED, samples_of(batch))  # of one sample it is not seen whether samples interact
    return tuple(map(_setting_of, model.modules())), inputs, few, torch.is_autocast_enabled(batch[1].device.type)


def _setting_of(module: nn.Module) -> Hashable:
    """All of a module that may decide what its forward does, but for the values of its weights."""
    own = tuple((name, _switch(value)) for name, value in vars(module).items() if name not in _EVERY_MODULES)
    hooks = (*module._forward_hooks, *module._forward_pre_hooks)
    tensors = tuple(id(p) for p in module._parameters.values()), tuple(map(_flag, module._buffers.values()))
    return type(module), own, hooks, tensors, _trainable(module)


def _switch(value: Any) -> Hashable:
    """What of an attribute may switch what a forward does; of other objects their kind."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Mapping):
        return len(value), tuple((repr(key), _switch(value[key])) for key in islice(value, _LOOKED_AT))
    if isinstance(value, list | tuple | set | frozenset):
        return len(value), tuple(map(_switch, islice(value, _LOOKED_AT)))
    return id(value) if callable(value) and not isinstance(value, ReferenceType) else type(value).__qualname__


def _flag(buffer: Tensor | None) -> bool | None:
    """A buffer that is one truth value; None for any other, False for none."""
    if buffer is None:
        return False
    return bool(buffer) if buffer.dtype == torch.bool and buffer.numel() == 1 else None


def _trainable(module: nn.Module) -> tuple[bool, ...]:
    return tuple(p is not None and p.requires_grad for p in module._parameters.values())


def _kind_of(leaf: Any) -> Hashable:
    """Of the shape only the number of axes and which of them are single: along those, orders of rows cannot be told apart."""
    if not isinstance(leaf, Tensor):
        return type(leaf).__qualname__
    return leaf.dtype, tuple(size == 1 for size in leaf.shape[1:])


def _obstacle(model: nn.Module, batch: Batch) -> str:
    """Why the fast route is wrong for a network; what no route can measure is refused."""
    size = min(_TRIED, samples_of(batch))
    spread = torch.linspace(0, samples_of(batch) - 1, size, device=batch[1].device).long()
    inputs = rows(batch[0], spread)
    with untouched(model):
        outputs = outputs_apart(model, inputs, size)
        # A linear function of the outputs is well conditioned, as a loss that is almost 0 is not.
        weights = torch.arange(1.0, outputs[0].numel() + 1, device=outputs.device).cos().reshape(outputs.shape[1:])
        functional = partial(_weighted_sum, weights)
        try:
            alone = torch.stack([squared_norm(model, rows(inputs, slice(i, i + 1)), functional) for i in range(size)])
        except RuntimeError as error:
            raise InputError(f"the network cannot be differentiated: {error}") from error
        try:
            found = fast_norms(model, inputs, functional)
        except UnderflowError:
            raise
        except InputError as error:
            return str(error)
    if not close(found, alone, outputs.dtype):
        return "layers do not see each sample apart (tokens first? a weight that is used elsewhere, too?)"
    return ""


def _require_classes(outputs: Tensor) -> None:
    if outputs.shape[1] < 2:
        raise InputError(
            "one output has no cross-entropy; pass loss=torch.nn.functional.binary_cross_entropy_with_logits"
        )


def _of_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy, of one output refused: it would be 0."""
    _require_classes(outputs)
    return nn.functional.cross_entropy(outputs, targets)


def _summed(loss: Loss, targets: Tensor, outputs: Tensor) -> Float[Tensor, ""]:
    """The sum over samples, of the cross-entropy without a division that its mean would round."""
    if loss is _of_classes:
        _require_classes(outputs)
        if not targets.is_floating_point() and int(targets.max()) >= outputs.shape[1]:
            raise InputError(
                f"labels must be below the number of outputs, {outputs.shape[1]}; got {int(targets.max())}"
            )
        total = nn.functional.cross_entropy(outputs, targets, reduction="sum")
        places = outputs.shape[2:].numel()  # a sample's own loss is the mean over them
        return total / places if places > 1 else total
    if not _is_mean(loss, outputs.detach(), targets):
        raise _NotMeanError("the loss is no plain mean over samples")
    return len(outputs) * loss(outputs, targets)


def _weighted_sum(weights: Tensor, outputs: Tensor) -> Float[Tensor, ""]:
    return (outputs * weights.to(outputs.dtype)).sum()


def _is_mean(loss: Loss, outputs: Tensor, targets: Tensor) -> bool:
    """Whether a loss is the mean over samples of what it is for each alone, by its gradient in the outputs."""
    point = outputs.requires_grad_(True)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(len(point) * loss(point, targets), point)
        try:
            alone = vmap(lambda output, target: loss(output[None], target[None]))(point, targets)
        except RuntimeError:  # what torch raises where it cannot map over samples
            alone = torch.stack([loss(point[i : i + 1], targets[i : i + 1]) for i in range(len(point))])
        (expected,) = torch.autograd.grad(alone.sum(), point)
    return close(found, expected, outputs.dtype)
