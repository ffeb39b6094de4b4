"""Ensembles of 1, 2, ... of the members: what a larger one gains."""

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.predictions.checked import Array, checked_predictions
from sharpdiv.empirical.predictions.scores import BINS, CHUNK, scores

__all__ = ["by_size"]

_SUBSETS = 100  # of the members, for each size of ensemble


def by_size(probs: Array, labels: Array, seed: int = 0) -> dict[str, list[int] | list[float]]:
    """Accuracy, likelihood, Brier score and calibration error of ensembles of 1, 2, ... of the members.

    Each is the mean over all subsets of the members of that size if there are at most 100 (so for up to 8 members), otherwise over
    100 subsets drawn independently. The ensemble predicts mean probabilities.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.
        seed: seed of the draw of subsets.

    Returns:
        Lists over sizes: ``size``, ``subsets`` (how many the mean is over), ``accuracy``, ``nll``, ``brier``, ``ece``, with the
        meaning they have in ``diversity``.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv import by_size
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> curves = by_size(probs, labels=torch.tensor([0, 0]))
        >>> curves["size"], curves["subsets"], curves["accuracy"]
        ([1, 2], [2, 1], [0.75, 1.0])
    """
    probs, labels = checked_predictions(probs, labels)
    members = len(probs)
    generator = torch.Generator().manual_seed(seed)
    sizes = list(range(1, members + 1))
    chosen = [_subsets(members, size, generator).to(probs.device) for size in sizes]
    curves = torch.stack([_mean_scores(probs, labels, subsets) for subsets in chosen], dim=1).tolist()
    return {
        "size": sizes,
        "subsets": [len(subsets) for subsets in chosen],
        **dict(zip(("accuracy", "nll", "brier", "ece"), curves, strict=True)),
    }


def _subsets(members: int, size: int, generator: torch.Generator) -> Float[Tensor, "subsets members"]:
    """Weights of the members in the mean of each subset of a size."""
    if math.comb(members, size) <= _SUBSETS:
        chosen = torch.tensor(list(itertools.combinations(range(members), size)))
    else:
        chosen = torch.rand(_SUBSETS, members, generator=generator).argsort(dim=1)[:, :size]
    return torch.zeros(len(chosen), members, dtype=torch.float64).scatter_(1, chosen, 1 / size)


def _mean_scores(
    probs: Float[Tensor, "members samples classes"],
    labels: Int[Tensor, " samples"],
    subsets: Float[Tensor, "subsets members"],
) -> Float[Tensor, "4"]:
    """Accuracy, likelihood, Brier score and calibration error, averaged over subsets."""
    total = torch.zeros(4, dtype=probs.dtype, device=probs.device)
    for some in subsets.split(max(1, CHUNK // (probs.shape[1] * max(probs.shape[2], BINS)))):
        each = scores(torch.tensordot(some, probs, dims=1), labels)
        means = [each[name].mean(dim=1).sum() for name in ("accuracy", "nll", "brier")]
        total += torch.stack([*means, each["gaps"].mean(dim=1).abs().sum()])
    return total / len(subsets)
