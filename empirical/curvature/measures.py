"""Every measure of sharpness that a run can be measured by, each a record of what it is, how it is taken and what it needs.

Another measure is a function from a model, batches and settings to a value with its standard error, and a line in ``_ALL``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.curvature.average_case import average_case_sharpness
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.fisher import fisher_trace
from sharpdiv.empirical.curvature.loss_surface import Norm
from sharpdiv.empirical.curvature.one_step import one_step_sharpness
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.registry import Registry

__all__ = ["MEASURES", "Batches", "Measure", "SharpnessSettings", "Take"]


@dataclass(frozen=True)
class SharpnessSettings:
    """How measures of sharpness are taken; defaults as in Andriushchenko et al. (2023) and the authors' code."""

    adaptive_l2_radius: float = 0.5
    """radius of the adaptive l2 ball of the worst case"""
    l2_radius: float = 0.1
    """radius of the l2 ball without adaptive scaling"""
    adaptive_linf_radius: float = 0.002
    """radius of the adaptive linf ball"""
    linf_radius: float = 0.001
    """radius of the linf ball without adaptive scaling"""
    average_radius: float = 0.1
    """standard deviation, relative to each weight if adaptive, of the average case"""
    one_step_rho: float = 0.1
    """length of SAM's own ascent step"""
    iterations: int = 20
    """ascent steps of the worst case"""
    restarts: int = 1
    """ascents of the worst case, all but the first from random points"""
    draws: int = 20
    """random perturbations of the average case, for each batch"""
    trace_draws: int = 20
    """random directions of the Hessian's trace, for each batch"""
    eigenvalue_tolerance: float = 1e-2
    """relative error of the Hessian's largest eigenvalue"""
    seed: int = 0
    """seed of random starts, perturbations and directions"""


Batches = Sequence[Batch]
"""fixed inputs and targets, un-augmented"""
Take = Callable[[nn.Module, Batches, SharpnessSettings], tuple[float, float]]
"""function from a model, batches and settings to a value and its standard error, 0 where the value is no estimate"""


@dataclass(frozen=True)
class Measure:
    """One measure of sharpness.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.measures import Measure, SharpnessSettings
        >>> def take(model, batches, settings):
        ...     return max(float(p.detach().abs().max()) for p in model.parameters()), 0.0
        >>> measure = Measure("largest_weight", "largest weight", take)  # MEASURES.add(measure) makes it known to runs
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.constant_(model.weight, -3.0)
        >>> measure.take(model, [], SharpnessSettings())
        (3.0, 0.0)
    """

    name: str
    """key in results and on the command line"""
    label: str
    """name for people"""
    take: Take
    """function that takes it"""
    needs: tuple[str, ...] = ()
    """names of the settings that it depends on"""
    plain_logits: bool = False
    """whether it can only be taken of the network itself, not of one with normalized logits"""


def _worst(radius: str, adaptive: bool, norm: Norm) -> Take:
    def take(model: nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
        value = worst_case_sharpness(
            model,
            batches,
            getattr(settings, radius),
            adaptive,
            norm,
            iterations=settings.iterations,
            restarts=settings.restarts,
            generator=torch.Generator().manual_seed(settings.seed),
        )
        return value, 0.0

    return take


def _average(adaptive: bool) -> Take:
    def take(model: nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(settings.seed)
        return average_case_sharpness(
            model, batches, settings.average_radius, adaptive, draws=settings.draws, generator=generator
        )

    return take


def _one_step(model: nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
    return one_step_sharpness(model, batches, settings.one_step_rho), 0.0


def _top_eigenvalue(model: nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
    values = hessian_eigenvalues(model, batches, tolerance=settings.eigenvalue_tolerance, seed=settings.seed)
    return float(values[0]), 0.0


def _hessian_trace(model: nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
    return hessian_trace(model, batches, settings.trace_draws, seed=settings.seed)


def _fisher_trace(model: nn.Module, batches: Batches, _: SharpnessSettings) -> tuple[float, float]:
    return fisher_trace(model, batches)


_ASCENT = ("iterations", "restarts", "seed")
_AVERAGE = ("average_radius", "draws", "seed")

_ALL = (
    Measure("worst_linf", "worst case, l-infinity", _worst("linf_radius", False, "linf"), ("linf_radius", *_ASCENT)),
    Measure("hessian_trace", "trace of the Hessian", _hessian_trace, ("trace_draws", "seed")),
    Measure("fisher_trace", "trace of the Fisher information", _fisher_trace, plain_logits=True),
    Measure(
        "worst_l2_adaptive",
        "worst case, adaptive l2",
        _worst("adaptive_l2_radius", True, "l2"),
        ("adaptive_l2_radius", *_ASCENT),
    ),
    Measure("worst_l2", "worst case, l2", _worst("l2_radius", False, "l2"), ("l2_radius", *_ASCENT)),
    Measure(
        "worst_linf_adaptive",
        "worst case, adaptive l-infinity",
        _worst("adaptive_linf_radius", True, "linf"),
        ("adaptive_linf_radius", *_ASCENT),
    ),
    Measure("average_l2_adaptive", "average, adaptive l2", _average(adaptive=True), _AVERAGE),
    Measure("average_l2", "average, l2", _average(adaptive=False), _AVERAGE),
    Measure("one_step", "one ascent step", _one_step, ("one_step_rho",)),
    Measure("hessian_top", "largest eigenvalue of the Hessian", _top_eigenvalue, ("eigenvalue_tolerance", "seed")),
)

MEASURES = Registry("sharpness", _ALL)
"""The measures by name."""
