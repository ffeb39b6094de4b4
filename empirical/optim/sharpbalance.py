"""SharpBalance (Lu et al. 2024): members apply SAM where the *other* members are sharp, plain descent elsewhere."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Inputs, Loss, as_batch, leaves, mean_loss, rows, samples_of
from sharpdiv.empirical.devices import moved
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.masks import mask_of
from sharpdiv.empirical.optim.running import Buffers, frozen_running_statistics, undone_on_failure
from sharpdiv.empirical.optim.sam import SAM

__all__ = ["Rule", "sam_samples", "sharpbalance_step", "sharpness_aware_sets"]

Rule = Literal["paper", "code", "code-boost", "random", "same", "shuffled", "all"]


def sharpness_aware_sets(
    scores: Float[Tensor, "members samples"],
    top_fraction: float,
    rule: Rule = "paper",
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "members samples"]:
    """Which samples each member trains with SAM, from every member's per-sample sharpness.

    With N samples, M members and ``count`` the product of N and ``top_fraction``, rounded down (.29 of 100 is 29): ``paper``
    gives member i the union of the other members' ``count`` sharpest samples. The authors' code takes the *least* sharp: with
    U the samples, in index order, in nobody's bottom ``count``, ``code`` gives the union of the others' bottom sets and every
    M-th of U from its i-th on, ``code-boost`` the union and all of U but those. The authors' ablations ``random`` (own draw per
    member) and ``same`` (one draw for all) leave out N times ``1 - top_fraction`` samples, rounded down. Two controls are ours:
    ``shuffled`` takes the sets of ``paper`` after one random permutation of the samples, so that they keep their sizes and
    overlaps but know nothing of sharpness; ``all`` is every sample for every member, which makes SharpBalance SAM applied late.
    Ties go to the smaller index.

    Args:
        scores: per-sample sharpness of each member.
        top_fraction: fraction k of the samples that count as a member's sharpest, in (0, 1); the paper's example is 0.5.
        rule: way to form the sets, as above.
        generator: source of random samples, on the CPU; needed by ``random``, ``same`` and ``shuffled``.

    Returns:
        A mask, True where a member applies SAM.

    Raises:
        InputError: if there are fewer than two members, scores are not finite, the fraction is outside (0, 1) or
            selects no sample, the rule is unknown, or it needs a generator and got none.

    Examples:
        >>> import torch
        >>> from sharpdiv import sharpness_aware_sets
        >>> scores = torch.tensor([[9.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 9.0]])  # sharpest at the first and at the last sample
        >>> sharpness_aware_sets(scores, top_fraction=0.25)  # each member takes the other's sharpest
        tensor([[False, False, False,  True],
                [ True, False, False, False]])
    """
    _check(scores, top_fraction, rule)
    members, samples = scores.shape
    count = _rounded(samples * top_fraction, math.floor)
    if rule == "all":
        return torch.ones_like(scores, dtype=torch.bool)
    if rule in {"random", "same"}:
        return _random_sets(scores, _rounded(samples * top_fraction, math.ceil), rule, generator)
    if rule == "shuffled":
        order = torch.randperm(samples, generator=_given(generator, rule)).to(scores.device)
        return sharpness_aware_sets(scores, top_fraction)[:, order]
    order = scores.argsort(dim=1, descending=rule == "paper", stable=True)
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order[:, :count], True)
    picks = chosen.sum(dim=0)
    sets = picks > chosen.long()  # somebody else picked it
    if rule != "paper":
        unpicked = (picks == 0).nonzero()[:, 0]
        for member in range(members):
            share = torch.zeros(samples, dtype=torch.bool, device=scores.device)
            share[unpicked[member::members]] = True
            sets[member] |= share if rule == "code" else (picks == 0) & ~share
    return sets


def _rounded(product: float, otherwise: Callable[[float], int]) -> int:
    """A product that is whole but for the rounding of its two steps, or rounded down or up: in floats .29 * 100 is below 29."""
    nearest = round(product)
    return nearest if abs(product - nearest) <= 2 * math.ulp(product) else otherwise(product)


def _check(scores: Tensor, top_fraction: float, rule: Rule) -> None:
    members, samples = scores.shape
    if members < 2:
        raise InputError(f"SharpBalance exchanges scores between members and needs at least 2, got {members}")
    if not 0 < top_fraction < 1:
        raise InputError(f"top fraction must lie strictly between 0 and 1, got {top_fraction}")
    if not torch.isfinite(scores).all():
        raise InputError("per-sample sharpness must be finite; a member has diverged")
    if not _rounded(samples * top_fraction, math.floor):
        raise InputError(f"top fraction {top_fraction} of {samples} samples selects none")
    if rule not in get_args(Rule):
        raise InputError(f"rule must be one of {', '.join(get_args(Rule))}; got {rule!r}")


def _given(generator: torch.Generator | None, rule: Rule) -> torch.Generator:
    if generator is None:
        raise InputError(f"rule {rule!r} draws samples and needs a generator")
    return generator


def _random_sets(scores: Tensor, count: int, rule: Rule, generator: torch.Generator | None) -> Tensor:
    generator = _given(generator, rule)
    members, samples = scores.shape
    sets = torch.zeros(members, samples, dtype=torch.bool)
    for member in range(members if rule == "random" else 1):
        sets[member, torch.randperm(samples, generator=generator)[:count]] = True
    return (sets if rule == "random" else sets[:1].repeat(members, 1)).to(scores.device)


def sharpbalance_step(
    model: nn.Module,
    optimizer: SAM,
    inputs: Inputs,
    targets: Tensor,
    aware: Tensor,
    loss: Loss = nn.functional.cross_entropy,
    m: int | None = None,
    autocast: torch.dtype | None = None,
) -> Tensor:
    """One combined step: SAM's gradient on the sharpness-aware part of a batch, the plain gradient on the rest.

    Each part is normalized (batch norm) by itself, the ascent follows the aware part's mean loss, the two gradients are
    weighted by the parts' sizes, and running statistics advance once: means and variances by the size-weighted mean of the
    parts' plain passes, other buffers as in the last part's. With ``m`` the aware part is cut into parts of m samples, each with
    its own ascent. A part smaller than 2 samples joins another; a batch without aware samples is a step of the base optimizer,
    one with nothing else (and no ``m``) a step of SAM, both to the bit. After an exception weights and buffers are where they were.

    Args:
        model: network in training mode.
        optimizer: SAM over the model's parameters.
        inputs: inputs of a batch, samples first: a tensor, a tuple of positional or a dict of keyword arguments.
        targets: targets of the batch.
        aware: Boolean mask of the batch, True where a sample belongs to the member's sharpness-aware set; best kept on the
            CPU.
        loss: mean loss of outputs and targets, a scalar.
        m: number of samples that share one ascent (m-sharpness); all aware ones of the batch unless given.
        autocast: lower precision of the passes, ``torch.bfloat16``; weights and gradients keep theirs.

    Returns:
        The batch's mean loss at the unperturbed weights, detached.

    Raises:
        InputError: if m is below 2, the mask is not Boolean or of another length than the batch, inputs are no tensors of
            the batch's length, the loss is not a scalar, or ``autocast`` is float16, whose gradients underflow here.

    Examples:
        >>> import torch
        >>> from sharpdiv import SAM, sharpbalance_step
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.ones_(model.weight)
        >>> optimizer = SAM(model.parameters(), torch.optim.SGD, rho=0.5, lr=0.1)
        >>> inputs, targets, aware = torch.ones(4, 1), torch.zeros(4, 1), torch.tensor([True, True, False, False])
        >>> loss = sharpbalance_step(model, optimizer, inputs, targets, aware, torch.nn.functional.mse_loss)
        >>> round(model.weight.item(), 4)  # the gradients are 2 (w + rho) = 3 on the aware half, 2 w = 2 on the other
        0.75
    """
    if m is not None and m < 2:
        raise InputError(f"m must be at least 2 (batch norm cannot use a single sample), got {m}")

    if autocast == torch.float16:
        raise InputError(
            "autocast to float16 needs a gradient scaler, which this step does not take; use torch.bfloat16"
        )
    batch = as_batch((inputs, targets))
    mask = mask_of(aware, samples_of(batch))

    def evaluate(part: Batch) -> Tensor:
        with torch.autocast(_device(batch).type, autocast) if autocast else nullcontext():
            return mean_loss(model, part, loss)

    parts = _parts(mask, m)
    with undone_on_failure(model):
        if len(parts) == 1:
            return _whole_batch(model, optimizer, parts[0][1], lambda: evaluate(batch))
        return _in_parts(model, optimizer, batch, parts, evaluate)


def _device(batch: Batch) -> torch.device:
    return next(leaf.device for leaf in leaves(batch[0]) if isinstance(leaf, Tensor) and leaf.ndim)


def sam_samples(aware: Bool[Tensor, " samples"]) -> int:
    """How many samples of a batch go through SAM, given which are marked.

    Batch norm needs two samples, so a part smaller than that joins the other (SAM takes a batch of one from each).

    Args:
        aware: mask of the batch, True where a sample is marked.

    Returns:
        0, the batch size, or the number marked.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.sharpbalance import sam_samples
        >>> masks = [True, True, False, False], [True, False, False, False], [True, True, True, False]
        >>> [sam_samples(torch.tensor(mask)) for mask in masks]
        [2, 0, 4]
    """
    size, total = int(aware.sum()), len(aware)
    if total - size < 2:
        return total if size else 0
    return size if size >= 2 else 0


def _parts(aware: Bool[Tensor, " samples"], m: int | None) -> list[tuple[Tensor, bool]]:
    """The parts a batch is cut into: their samples, and whether they take SAM."""
    size, total = sam_samples(aware), len(aware)
    everything = torch.arange(total, device=aware.device)
    if not size:
        return [(everything, False)]
    chosen = everything if size == total else aware.nonzero()[:, 0]
    pieces = list(chosen.split(m or total))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    rest = [] if size == total else [((~aware).nonzero()[:, 0], False)]
    return [*((piece, True) for piece in pieces), *rest]


def _whole_batch(model: nn.Module, optimizer: SAM, aware: bool, evaluate: Callable[[], Tensor]) -> Tensor:
    def closure() -> Tensor:
        value = evaluate()
        value.backward()
        return value

    optimizer.zero_grad()
    if aware:
        return optimizer.step(closure, second_pass=frozen_running_statistics(model)).detach()
    value = closure()
    optimizer.descend()
    return value.detach()


def _in_parts(
    model: nn.Module,
    optimizer: SAM,
    batch: Batch,
    parts: list[tuple[Tensor, bool]],
    evaluate: Callable[[Batch], Tensor],
) -> Tensor:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    buffers = Buffers(model)
    gradient: list[Tensor | None] = [None] * len(parameters)
    device = _device(batch)
    total = torch.zeros((), device=device)
    for samples, is_aware in parts:
        share = len(samples) / samples_of(batch)
        # From a mask on the CPU these indices cost no synchronisation with the device.
        index = moved(samples, device)
        part = rows(batch[0], index), batch[1][index]
        optimizer.zero_grad()
        buffers.restore()
        value = evaluate(part)
        ((1 if is_aware else share) * value).backward()
        buffers.add(share)
        if is_aware:
            with optimizer.perturbed(), frozen_running_statistics(model):
                optimizer.zero_grad()
                (share * evaluate(part)).backward()
        total = total + share * value.detach()
        gradient = [_sum(g, p.grad) for g, p in zip(gradient, parameters, strict=True)]
    buffers.mix()
    for parameter, g in zip(parameters, gradient, strict=True):
        parameter.grad = g
    optimizer.descend()
    return total


def _sum(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    return gradient if total is None else total if gradient is None else total + gradient
