"""Weighted sums of members' weights, and a network that holds one of them for a while."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sharpdiv.empirical.connectivity.batch_norm import running_norms
from sharpdiv.empirical.curvature.restoring import surely
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.ensembles.checkpoints import fitting
from sharpdiv.empirical.errors import DivergenceError, InputError

__all__ = ["Members", "State"]

State = Mapping[str, Any]
"""what ``state_dict`` of a network gives: weights and buffers by name"""


class Members:
    """Several members' weights in one network, which can hold any weighted sum of them.

    Every floating-point parameter is summed, frozen ones too; a weight that has several names counts once. Running statistics of
    batch norm are no weights. What else a state dict holds (masks, say) must be the same in all members.

    Args:
        model: network of the members' architecture, where it is to be evaluated.
        states: state dict of each member; they are copied.

    Raises:
        InputError: if a state dict does not fit the network, or members differ in what cannot be summed; the message names it.
        DivergenceError: if a weight is not finite.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.connectivity.members import Members
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> members = Members(model, [{"weight": torch.tensor([[0.0]])}, {"weight": torch.tensor([[4.0]])}])
        >>> with members.held():
        ...     members.put([0.25, 0.75])
        ...     model(torch.ones(1, 1)).item()
        3.0
    """

    count: int
    """number of members"""
    same_statistics: bool
    """whether running statistics of batch norm are the same in all members, as where there are none"""

    def __init__(self, model: nn.Module, states: Sequence[State]) -> None:
        self._model, self.count = model, len(states)
        if lazy := [name for name, each in model.state_dict().items() if isinstance(each, Tensor) and is_lazy(each)]:
            raise InputError(f"the network has no {lazy[0]} yet: run it on a batch first")
        fitted = [fitting(model, state, _name(place)) for place, state in enumerate(states)]
        self._weights: list[tuple[nn.Parameter, list[Tensor]]] = []
        self._fixed: list[tuple[Tensor, Tensor]] = []
        for parameter, names in _parameters(model).items():
            values = [_one(state, names, parameter, _name(place)) for place, state in enumerate(fitted)]
            if parameter.is_floating_point():
                self._weights.append((parameter, values))
            else:
                self._fixed.append((parameter, _same(values, names[0])))
        self._require_finite()
        self._take_buffers(fitted)

    def _take_buffers(self, states: Sequence[State]) -> None:
        statistics, counters = _statistics(self._model)
        own = self._model.state_dict(keep_vars=True)
        self.same_statistics = True
        for name, buffer in self._model.named_buffers():
            if name not in own or id(buffer) in counters:  # what is not stored, or counts batches, is the network's own
                continue
            values = [state[name].detach().to(buffer, copy=True) for state in states]
            if id(buffer) in statistics and not all(torch.equal(value, values[0]) for value in values):
                self.same_statistics = False
            else:
                self._fixed.append((buffer, _same(values, name)))

    def _require_finite(self) -> None:
        for _, values in self._weights:
            for place, value in enumerate(values):
                if not torch.isfinite(value).all():
                    raise DivergenceError(f"{_name(place)} has weights that are not finite; did its training diverge?")

    def flat(self, member: int) -> Float[np.ndarray, " weights"]:
        """All weights of a member.

        Args:
            member: its place.

        Returns:
            One vector in double precision, in the order of ``model.parameters()``.
        """
        parts = [values[member].cpu().double().numpy().ravel() for _, values in self._weights]
        return np.concatenate([np.zeros(0), *parts])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Evaluation mode, in which ``put`` may be called; afterwards the network is as it was, to the bit.

        Yields:
            Nothing.
        """
        tensors = [parameter.data for parameter in self._model.parameters()]
        values = [tensor.clone() for tensor in tensors]

        def restore() -> None:
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)

        try:
            with untouched(self._model):
                yield
        finally:
            surely(restore)

    def put(self, coefficients: Sequence[float]) -> None:
        """Give the network a weighted sum of the members' weights; one member alone is that member, to the bit.

        Args:
            coefficients: factor of each member.
        """
        for parameter, values in self._weights:
            terms = [factor * value for factor, value in zip(coefficients, values, strict=True) if factor]
            # Into the tensor itself: a network may hold its weights in places that nobody knows.
            parameter.data.copy_(sum(terms, start=torch.zeros_like(values[0])))
        for tensor, value in self._fixed:
            tensor.data.copy_(value)


def _name(place: int) -> str:
    return f"member {place + 1}"


def _parameters(model: nn.Module) -> dict[nn.Parameter, list[str]]:
    """Names of every parameter: several where it is shared."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    stored = model.state_dict()
    for each in names.values():
        if missing := [name for name in each if name not in stored]:
            raise InputError(f"the network's state dict has no {missing[0]}, which is a parameter of it")
    return names


def _statistics(model: nn.Module) -> tuple[set[int], set[int]]:
    """Identities of the buffers that are running statistics, and of those that count batches."""
    norms = running_norms(model)
    statistics = {id(buffer) for norm in norms for buffer in (norm.running_mean, norm.running_var)}
    return statistics, {id(norm.num_batches_tracked) for norm in norms}


def _one(state: State, names: Sequence[str], parameter: nn.Parameter, member: str) -> Tensor:
    """A copy of a member's value of one parameter, which all its names agree on; half precision is summed in single."""
    first = state[names[0]]
    for name in names[1:]:
        if not torch.allclose(
            state[name], first, rtol=0, atol=0, equal_nan=True
        ):  # that NaN is no number is told elsewhere
            raise InputError(f"{names[0]} and {name} are one weight in the network, and two in {member}")
    wide = torch.promote_types(parameter.dtype, torch.float32) if parameter.is_floating_point() else parameter.dtype
    return first.detach().to(parameter.device, parameter.dtype).to(wide, copy=True)


def _same(values: Sequence[Tensor], name: str) -> Tensor:
    """The value of all members."""
    for place, value in enumerate(values[1:], start=1):
        if not torch.equal(value, values[0]):
            raise InputError(
                f"{name} differs between {_name(0)} and {_name(place)}, and there is nothing between: it is neither a weight nor a "
                "running statistic of batch norm"
            )
    return values[0]
