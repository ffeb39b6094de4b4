"""How alike two members are: matrices over all pairs of an ensemble's members."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.predictions.checked import Array, checked_predictions
from sharpdiv.empirical.predictions.scores import nll

__all__ = ["PairMatrices", "pair_matrices"]

_Matrix = Float[Tensor, "members members"]


@dataclass(frozen=True)
class PairMatrices:
    """A number for every ordered pair of members; NaN where a denominator is zero. The diagonal is a member with itself.

    Example: see ``pair_matrices``.
    """

    disagreement: _Matrix
    """share of samples with different predictions"""
    kl: _Matrix
    """``KL(row || column)`` of the probabilities, mean over samples, in nats; the only one that is not symmetric"""
    double_fault: _Matrix
    """share of samples on which both are wrong"""
    kappa: _Matrix
    """Cohen's kappa: agreement of predictions beyond that of independent ones with the same frequencies of classes; NaN if both
    always predict one and the same class"""
    yule_q: _Matrix
    """Yule's Q of being right, ``(ad - bc) / (ad + bc)`` with both right in a samples, both wrong in d, one of them in b and c"""
    error_correlation: _Matrix
    """correlation of being wrong; NaN if one is never or always wrong"""

    def means(self) -> dict[str, float | None]:
        """Means over ordered pairs of different members.

        Returns:
            Means by the matrices' names; None where a pair has no value.
        """
        members = len(self.kl)
        apart = ~torch.eye(members, dtype=torch.bool, device=self.kl.device)
        means = {name: float(matrix[apart].mean()) for name, matrix in vars(self).items()}
        return {name: None if math.isnan(mean) else mean for name, mean in means.items()}


def pair_matrices(probs: Array, labels: Array) -> PairMatrices:
    """Measures of diversity of every pair of members (Kuncheva and Whitaker 2003).

    The means of ``disagreement`` and ``kl`` are those of ``diversity``.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one; clipped at 1e-12 in logarithms.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        The matrices.

    Raises:
        InputError: as ``diversity``.

    References:
        Kuncheva and Whitaker (2003), "Measures of diversity in classifier ensembles and their relationship with the ensemble
        accuracy", Machine Learning 51.

    Examples:
        >>> import torch
        >>> from sharpdiv import pair_matrices
        >>> first = torch.tensor([[0.9, 0.8, 0.3, 0.4], [0.9, 0.2, 0.8, 0.1]])  # probability of class 0, by member and sample
        >>> pairs = pair_matrices(torch.stack([first, 1 - first], dim=2), torch.tensor([0, 0, 0, 0]))
        >>> pairs.disagreement.tolist()
        [[0.0, 0.5], [0.5, 0.0]]
        >>> means = pairs.means()
        >>> means["double_fault"], means["kappa"], means["yule_q"]  # both right once, both wrong once, one of them twice
        (0.25, 0.0, 0.0)
    """
    probs, labels = checked_predictions(probs, labels)
    predicted = probs.argmax(dim=2)
    right = (predicted == labels).double()
    both_right, both_wrong = right @ right.T, (1 - right) @ (1 - right).T
    only_row = right @ (1 - right).T
    agreeing = torch.stack([(predicted == each).sum(dim=1) for each in predicted]).double()
    product, crossed = both_right * both_wrong, only_row * only_row.T
    hits, misses = right.sum(dim=1), (1 - right).sum(dim=1)
    spread = (hits * misses).sqrt()
    return PairMatrices(
        disagreement=1 - agreeing / len(labels),
        kl=_kl(probs),
        double_fault=both_wrong / len(labels),
        kappa=_kappa(agreeing, predicted, probs.shape[2]),
        yule_q=_ratio(product - crossed, product + crossed),
        error_correlation=_ratio(product - crossed, torch.outer(spread, spread)),
    )


def _kl(probs: Float[Tensor, "members samples classes"]) -> _Matrix:
    """Negative entropies of the rows plus cross entropies, of which the diagonal is the entropies."""
    flat = probs.flatten(1)
    crossed = flat @ nll(flat).T / probs.shape[1]
    return crossed - crossed.diagonal()[:, None]


def _kappa(agreeing: _Matrix, predicted: Int[Tensor, "members samples"], classes: int) -> _Matrix:
    """In counts, thus exact until the division."""
    counts = torch.zeros(len(predicted), classes, dtype=torch.float64, device=predicted.device)
    counts.scatter_add_(1, predicted, torch.ones_like(predicted, dtype=torch.float64))
    samples, by_chance = predicted.shape[1], counts @ counts.T
    return _ratio(samples * agreeing - by_chance, samples**2 - by_chance)


def _ratio(numerator: _Matrix, denominator: _Matrix) -> _Matrix:
    return torch.where(denominator > 0, numerator / denominator, torch.nan)
