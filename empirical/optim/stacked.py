"""Steps of SGD and SAM for many networks of one architecture at once: their tensors are stacked, the step is mapped over the stack.

A member's radius is a number of the stack, 0 for SGD, so that all share one step. It has some three times the operations of one
member's step of SAM, whatever the number of members: what launches of operations cost on a GPU does not grow with it. The price is
a second pass for members of SGD, and convolutions of many groups. Gradients are those of separate steps to rounding, not to bits.
"""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM

__all__ = ["Stack"]

_Tensors = dict[str, Tensor]
_OF_SGD = ("lr", "momentum", "weight_decay", "adaptive")
"""Options of the optimizer that a stack has one of."""


class Stack:
    """Networks in training, as one; ``unstack`` writes them back.

    Args:
        models: networks of one architecture, on one device.
        optimizers: SAM around SGD for each of them, which may differ in rho alone.

    Raises:
        InputError: if there are none, or optimizers differ in something else, clip, are not SAM around SGD, or have not all
            parameters of their models.

    Examples:
        >>> import torch
        >>> from sharpdiv import SAM
        >>> from sharpdiv.empirical.optim.stacked import Stack
        >>> models = [torch.nn.Linear(1, 2, bias=False) for _ in range(3)]
        >>> optimizers = [SAM(m.parameters(), torch.optim.SGD, rho=rho, lr=0.1) for m, rho in zip(models, (0.0, 0.1, 0.2))]
        >>> stack = Stack(models, optimizers)
        >>> stack.step(torch.ones(3, 4, 1), torch.zeros(3, 4, dtype=torch.long), learning_rate=0.1).shape
        torch.Size([3])
        >>> stack.unstack()  # into the models and optimizers
    """

    def __init__(self, models: Sequence[nn.Module], optimizers: Sequence[SAM]) -> None:
        self.options = _shared_options(optimizers)
        for model, optimizer in zip(models, optimizers, strict=True):
            trained = {id(p) for p in optimizer.param_groups[0]["params"] if p.requires_grad}
            if trained != {id(p) for p in model.parameters()}:
                raise InputError(
                    "a stack trains all parameters of its members; train those with frozen ones separately"
                )
        self._models, self._optimizers = models, optimizers
        parameters, buffers = stack_module_state(list(models))
        self._weights: _Tensors = {name: value.detach() for name, value in parameters.items()}
        self._buffers: _Tensors = dict(buffers)
        self._base = copy.deepcopy(models[0]).to("meta")
        self._momentum = self._stacked_momentum()
        rho = [optimizer.rho for optimizer in optimizers]
        self._ascends = any(rho)
        self._rho = next(iter(self._weights.values())).new_tensor(rho)
        self._gradients = vmap(grad_and_value(self._loss), randomness="error")

    def _loss(self, weights: _Tensors, buffers: _Tensors, images: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(self._base, (weights, buffers), (images,)), labels)

    @torch.no_grad()
    def step(
        self,
        images: Float[Tensor, "members batch ..."],
        labels: Int[Tensor, "members batch"],
        learning_rate: float,
    ) -> Float[Tensor, " members"]:
        """One step of every member on its own batch; nothing waits for the device.

        Args:
            images: inputs of each member.
            labels: classes of each member's inputs.
            learning_rate: rate of the step, for all.

        Returns:
            Each member's mean loss at its unperturbed weights.
        """
        gradient, loss = self._gradients(self._weights, self._buffers, images, labels)
        if self._ascends:
            # Running statistics advance in the first pass alone.
            kept = {name: value.clone() for name, value in self._buffers.items()}
            gradient, _ = self._gradients(self._ascended(gradient), kept, images, labels)
        self._descend([gradient[name] for name in self._weights], learning_rate)
        return loss

    def _descend(self, gradients: list[Tensor], learning_rate: float) -> None:
        """SGD's step, of all weights at once."""
        weights = list(self._weights.values())
        if decay := self.options["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=decay))
        if momentum := self.options["momentum"]:
            if self._momentum:
                before = [self._momentum[name] for name in self._weights]
                torch._foreach_mul_(before, momentum)
                torch._foreach_add_(before, gradients)
                gradients = before
            self._momentum = dict(zip(self._weights, gradients, strict=True))
        torch._foreach_add_(weights, gradients, alpha=-learning_rate)

    def _ascended(self, gradient: _Tensors) -> _Tensors:
        """Weights at the end of each member's ascent, whose length is its rho."""
        weights = list(self._weights.values())
        gradients = [gradient[name] for name in self._weights]
        sizes = torch._foreach_abs(weights) if self.options["adaptive"] else ()
        if sizes:
            gradients = list(torch._foreach_mul(gradients, sizes))
        squares = torch._foreach_mul(gradients, gradients)
        norm = torch.stack([value.flatten(1).sum(dim=1) for value in squares]).sum(dim=0).sqrt()
        scale = self._rho / torch.where(norm > 0, norm, torch.ones_like(norm))
        moves = torch._foreach_mul(gradients, [scale.view(-1, *[1] * (value.ndim - 1)) for value in gradients])
        if sizes:
            moves = torch._foreach_mul(moves, sizes)
        return dict(zip(self._weights, torch._foreach_add(weights, moves), strict=True))

    def _stacked_momentum(self) -> _Tensors:
        """What the optimizers have; all of them or none."""
        stacked: _Tensors = {}
        for name, _ in self._models[0].named_parameters():
            each = [
                optimizer.state[model.get_parameter(name)].get("momentum_buffer")
                for model, optimizer in zip(self._models, self._optimizers, strict=True)
            ]
            there = [value for value in each if value is not None]
            if there and len(there) < len(each):
                raise InputError("some members have a momentum and some have none: stack those of one epoch")
            if there:
                stacked[name] = torch.stack(there)
        return stacked

    @torch.no_grad()
    def unstack(self) -> None:
        """Write weights, buffers and momentum back into the models and optimizers, whose memory formats stay."""
        for at, (model, optimizer) in enumerate(zip(self._models, self._optimizers, strict=True)):
            for name, parameter in model.named_parameters():
                parameter.copy_(self._weights[name][at])
                if name in self._momentum:
                    like = torch.empty_like(parameter).copy_(self._momentum[name][at])
                    optimizer.state[parameter]["momentum_buffer"] = like
            for name, buffer in model.named_buffers():
                buffer.copy_(self._buffers[name][at])


def _shared_options(optimizers: Sequence[SAM]) -> dict[str, float]:
    """Options that all have, checked."""
    if not optimizers:
        raise InputError("a stack needs at least one member, got none")
    found = []
    for optimizer in optimizers:
        (group, *others) = optimizer.param_groups
        plain = type(optimizer.base) is torch.optim.SGD
        plain = plain and not (group["nesterov"] or group["dampening"] or group["maximize"])
        own = type(optimizer).ascent is not SAM.ascent
        if others or own or not plain or not optimizer.normalize or optimizer.clip_norm is not None:
            raise InputError(
                "a stack takes normalized SAM around plain SGD, of one group and without clip_norm; train others separately"
            )
        found.append({name: group[name] for name in _OF_SGD})
    if different := sorted(name for name in _OF_SGD if any(each[name] != found[0][name] for each in found)):
        raise InputError(f"members of a stack may differ in rho alone; these differ in {', '.join(different)}")
    return found[0]
