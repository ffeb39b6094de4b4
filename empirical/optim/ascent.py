"""SAM's ascent: how far each weight moves, from gradients and the options of its parameter group."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError

__all__ = ["ascent", "check_group"]

Group = dict[str, Any]
"""A parameter group, as PyTorch has them."""


def check_group(group: Group, normalize: bool) -> None:
    """Refuse options of a parameter group that have no meaning.

    Args:
        group: parameter group with ``rho`` and ``adaptive``.
        normalize: whether the ascent is divided by the gradient's norm.

    Raises:
        InputError: if rho is not a finite number of 0 or more, ``adaptive`` is asked for without ``normalize``, or the group
            has an option that only the whole optimizer has.

    Examples:
        >>> from sharpdiv.empirical.optim.ascent import check_group
        >>> check_group({"rho": -0.1, "adaptive": False}, normalize=True)
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: rho must be finite and non-negative, got -0.1
    """
    rho = group["rho"]
    if isinstance(rho, bool) or not isinstance(rho, Real) or not 0 <= float(rho) < math.inf:
        raise InputError(f"rho must be finite and non-negative, got {rho!r}")
    if group["adaptive"] and not normalize:
        raise InputError("adaptive SAM is defined with a normalized ascent only; use normalize=True")
    for name in ("normalize", "clip_norm"):
        if name in group:
            raise InputError(f"{name} belongs to the norm over all groups; give it to SAM, not to a group")
    if group.get("differentiable"):
        raise InputError("SAM does not keep the graph of its step; use differentiable=False")


@torch.no_grad()
def ascent(groups: Sequence[Group], normalize: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights that move, and the ascent ``e`` of each; no host-device synchronisation.

    One norm over all gradients, those of groups with ``rho = 0`` too; each group's rho then scales its part. With equal rho the
    whole ascent has length rho. Gradients whose squares underflow, in float32 those below 1e-22, have the norm 0 and move nothing.

    Args:
        groups: parameter groups with ``rho``, ``adaptive`` and perhaps ``maximize``, which turns the ascent round: what is
            maximized is worst where it is lowest.
        normalize: whether the ascent is divided by the gradient's norm.

    Returns:
        The weights and as many tensors of their shapes; weights without a gradient, or with ``rho = 0``, are left out.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.ascent import ascent
        >>> weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        >>> weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
        >>> groups = [{"params": [w], "rho": r, "adaptive": False} for w, r in zip(weights, (1.0, 10.0))]
        >>> ascent(groups, normalize=True)[1]
        [tensor([0.6000]), tensor([8.])]
    """
    for group in groups:
        check_group(group, normalize)
    parts = [part for group in groups for part in _parts(group)]
    moving = [part for part in parts if part.rho]
    if moving and normalize:
        norm = nn.utils.get_total_norm([slope for part in parts for slope in part.slopes])
        # Divide first: rho / norm overflows for tiny gradients, and a zero gradient must give a zero perturbation.
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
        steps = [step for part in moving for step in part.normalized(norm)]
    else:
        steps = [step for part in moving for step in torch._foreach_mul(part.slopes, part.rho)]
    return [p for part in moving for p in part.weights], steps


class _Part(NamedTuple):
    """Weights of one group on one device, which move by the same few operations."""

    rho: float
    """length of the group's ascent, negative if the group is maximized"""
    weights: list[Tensor]
    """those that have a gradient"""
    units: list[Tensor]
    """if the ascent is adaptive the weights, whose signs change no norm and cancel, or the magnitudes of complex ones"""
    slopes: list[Tensor]
    """gradients, in those units"""

    def normalized(self, norm: Tensor) -> list[Tensor]:
        """Ascents of this part, where the norm of all slopes is given."""
        steps, norm = self.slopes, norm.to(self.weights[0].device)
        if self.units:  # slopes are ours: fresh memory costs more than the arithmetic
            torch._foreach_div_(steps, norm)
        else:
            steps = list(torch._foreach_div(steps, norm))
        torch._foreach_mul_(steps, self.rho)
        if self.units:
            torch._foreach_mul_(steps, self.units)
        return steps


def _parts(group: Group) -> list[_Part]:
    devices: dict[torch.device, dict[Tensor, Tensor]] = {}
    for p in group["params"]:
        if p.grad is not None:
            devices.setdefault(p.device, {})[p] = _dense(p.grad)
    parts = []
    for of_weights in devices.values():
        weights, gradients = list(of_weights), list(of_weights.values())
        units = [p.abs() if p.is_complex() else p for p in weights] if group["adaptive"] else []
        slopes = list(torch._foreach_mul(units, gradients)) if units else gradients
        parts.append(_Part(_signed_rho(group), weights, units, slopes))
    return parts


def _signed_rho(group: Group) -> float:
    return float(-group["rho"] if group.get("maximize") else group["rho"])


def _dense(gradient: Tensor) -> Tensor:
    """The gradient with its zeros, no larger than the copy that the weight is restored from."""
    return gradient if gradient.layout == torch.strided else gradient.to_dense()
