"""Loss of an ensemble as the members' loss less a term of diversity, exactly, by sample (Wood et al. 2023).

The diversity that belongs to a loss depends on how the members are combined: to squared error the arithmetic mean of the
probabilities, to cross-entropy their normalized geometric mean, to the 0/1 loss the majority vote. Our ensembles predict the
arithmetic mean, whose cross-entropy is ``jensen_gap`` below the members'.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import Array, as_tensor, checked_predictions
from sharpdiv.empirical.predictions.metrics import vote
from sharpdiv.empirical.predictions.scores import nll, of_truth

__all__ = [
    "AmbiguityDecomposition",
    "BiasVarianceDiversity",
    "ambiguity_decomposition",
    "bias_variance_diversity",
    "jensen_gap",
]


class _Terms:
    """Terms of a decomposition, a number for each sample."""

    def mean(self) -> dict[str, float]:
        """Means over samples, for which the decomposition holds, too.

        Returns:
            Means by the names of the terms.
        """
        return {name: float(term.mean()) for name, term in vars(self).items()}


@dataclass(frozen=True)
class AmbiguityDecomposition(_Terms):
    """``ensemble = average - diversity`` for every sample.

    Example: see ``ambiguity_decomposition``.
    """

    ensemble: Float[Tensor, " samples"]
    """loss of the combined prediction"""
    average: Float[Tensor, " samples"]
    """mean loss of the members"""
    diversity: Float[Tensor, " samples"]
    """what combining gains"""


@dataclass(frozen=True)
class BiasVarianceDiversity(_Terms):
    """``ensemble = bias + variance - diversity`` for every sample.

    Example: see ``bias_variance_diversity``.
    """

    ensemble: Float[Tensor, " samples"]
    """loss of the combined prediction, mean over trials"""
    bias: Float[Tensor, " samples"]
    """loss of each member's centre over trials, mean over members; noise of the labels is in it"""
    variance: Float[Tensor, " samples"]
    """divergence of a member's predictions from its centre over trials, mean over members and trials"""
    diversity: Float[Tensor, " samples"]
    """divergence of the members from their combination, mean over members and trials"""


def ambiguity_decomposition(
    probs: Array, labels: Array, *, loss: Literal["squared_error", "cross_entropy", "zero_one"]
) -> AmbiguityDecomposition:
    """The ensemble's loss as the members' mean loss less their diversity.

    * ``squared_error``, summed over classes (the Brier score), of the arithmetic mean: diversity is the members' mean squared
      distance from it (Krogh and Vedelsby 1995), ``(1 - 1 / M) variance`` of ``diversity``.
    * ``cross_entropy``, in nats, of the normalized geometric mean ``q ~ exp(mean log p)``: diversity is the members' mean
      ``KL(q || p)``, minus the logarithm of q's normalizer. Probabilities are clipped at 1e-12.
    * ``zero_one`` of the majority vote (ties as ``vote``): the gain depends on the label and can be negative. It is the share of
      members that are wrong where the vote is right, less the share that are right where the vote is wrong (good and bad
      diversity; Brown and Kuncheva 2010), the diversity effect of Wood et al.

    The first two diversities do not depend on the labels and are never negative (but for the clipping: by less than 1e-12 for
    each class).

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.
        loss: what is decomposed.

    Returns:
        The terms of every sample.

    Raises:
        InputError: if there is no such loss, and as ``diversity``.

    References:
        Wood, Mu, Webb, Reeve, Luján and Brown (2023), "A unified theory of diversity in ensemble learning", Journal of Machine
        Learning Research 24.
        Krogh and Vedelsby (1995), "Neural network ensembles, cross validation, and active learning".
        Brown and Kuncheva (2010), "'Good' and 'bad' diversity in majority vote ensembles".

    Examples:
        >>> import torch
        >>> from sharpdiv import ambiguity_decomposition
        >>> probs = torch.tensor([[[0.75, 0.25]], [[0.25, 0.75]]])  # two members, one sample
        >>> ambiguity_decomposition(probs, torch.tensor([0]), loss="squared_error").mean()  # 1/8 and 9/8; 1/2; 1/4 twice
        {'ensemble': 0.5, 'average': 0.625, 'diversity': 0.125}
    """
    if loss not in _AMBIGUITY:
        raise InputError(f"loss must be one of {', '.join(_AMBIGUITY)}, got {loss!r}")
    return _AMBIGUITY[loss](*checked_predictions(probs, labels))


def jensen_gap(probs: Array, labels: Array) -> AmbiguityDecomposition:
    """Cross-entropy of the arithmetic mean, which our ensembles predict, as the members' mean less the gap of Jensen's inequality.

    The gap ``mean log(mean p_y / p_y)`` is never negative where no p_y is clipped. Unlike the diversity of
    ``ambiguity_decomposition`` it depends on the label y: members that differ on other classes only gain nothing.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        ``nll_ensemble``, ``nll_mean`` and their difference for every sample, in nats; probabilities are clipped at 1e-12.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv import jensen_gap
        >>> probs = torch.tensor([[[0.75, 0.25]], [[0.25, 0.75]]])
        >>> gap = jensen_gap(probs, torch.tensor([0])).diversity
        >>> gap.round(decimals=4)  # log 1/2 - (log 3/4 + log 1/4) / 2
        tensor([0.1438], dtype=torch.float64)
    """
    probs, labels = checked_predictions(probs, labels)
    losses, ensemble = nll(of_truth(probs, labels)), nll(of_truth(probs.mean(dim=0), labels))
    return AmbiguityDecomposition(ensemble, losses.mean(dim=0), (losses - ensemble).mean(dim=0))


def bias_variance_diversity(
    probs: Array, labels: Array, *, loss: Literal["squared_error", "cross_entropy"]
) -> BiasVarianceDiversity:
    """The expected loss of ensembles as the members' bias and variance less their diversity.

    Trials repeat the training of the whole ensemble, on data or seeds of their own; a member is the same recipe in every trial.
    Expectations are means over the trials given, for which the decomposition is exact. Centres, of a member over trials and of an
    ensemble over members, are arithmetic means for squared error and normalized geometric means for cross-entropy.

    Args:
        probs: probabilities ``(trials, members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.
        loss: what is decomposed, as in ``ambiguity_decomposition``.

    Returns:
        The terms of every sample.

    Raises:
        InputError: if there are fewer than two trials, no such loss, and as ``diversity``.

    References:
        Wood, Mu, Webb, Reeve, Luján and Brown (2023), "A unified theory of diversity in ensemble learning", Journal of Machine
        Learning Research 24.

    Examples:
        >>> import torch
        >>> from sharpdiv import bias_variance_diversity
        >>> first = torch.tensor([[0.5, 1.0], [0.5, 0.5]])  # probability of class 0: two trials of two members
        >>> probs = torch.stack([first, 1 - first], dim=2)[:, :, None]
        >>> terms = bias_variance_diversity(probs, torch.tensor([0]), loss="squared_error").mean()
        >>> terms  # centres .5 and .75: 1/2 and 1/8; 0 and 1/8; 1/8 and 0; in all 5/16 = (1/8 + 1/2) / 2
        {'ensemble': 0.3125, 'bias': 0.3125, 'variance': 0.0625, 'diversity': 0.0625}
    """
    if loss not in _CENTRES:
        raise InputError(f"loss must be one of {', '.join(_CENTRES)}, got {loss!r}")
    given = as_tensor(probs, "probs")
    if given.ndim != 4 or given.shape[0] < 2 or given.shape[1] < 2:
        raise InputError(
            f"probs must have shape (trials >= 2, members >= 2, samples, classes), got {tuple(given.shape)}"
        )
    flat, labels = checked_predictions(given.flatten(0, 1), labels)
    trials = flat.unflatten(0, given.shape[:2])
    centred = _CENTRES[loss]
    losses, diversity = zip(*(centred(trial, labels) for trial in trials), strict=True)
    biases, variances = zip(*(centred(member, labels) for member in trials.transpose(0, 1)), strict=True)
    return BiasVarianceDiversity(*(torch.stack(each).mean(dim=0) for each in (losses, biases, variances, diversity)))


_Predictions = Float[Tensor, "predictors samples classes"]
_Labels = Int[Tensor, " samples"]
_OfSamples = Float[Tensor, " samples"]


def _squared_error(probs: _Predictions, labels: _Labels) -> Float[Tensor, "predictors samples"]:
    return probs.square().sum(dim=2) - 2 * of_truth(probs, labels) + 1


def _about_arithmetic_mean(probs: _Predictions, labels: _Labels) -> tuple[_OfSamples, _OfSamples]:
    """Squared error of the mean, and mean squared distance from it."""
    mean = probs.mean(dim=0)
    return _squared_error(mean[None], labels)[0], (probs - mean).square().sum(dim=2).mean(dim=0)


def _about_geometric_mean(probs: _Predictions, labels: _Labels) -> tuple[_OfSamples, _OfSamples]:
    """Cross-entropy of the normalized geometric mean q, and mean ``KL(q || p) = -log(normalizer)``."""
    mean_log = -nll(probs).mean(dim=0)
    normalizer = mean_log.logsumexp(dim=1)
    return normalizer - of_truth(mean_log, labels), -normalizer


def _of_squared_error(probs: _Predictions, labels: _Labels) -> AmbiguityDecomposition:
    ensemble, diversity = _about_arithmetic_mean(probs, labels)
    return AmbiguityDecomposition(ensemble, _squared_error(probs, labels).mean(dim=0), diversity)


def _of_cross_entropy(probs: _Predictions, labels: _Labels) -> AmbiguityDecomposition:
    ensemble, diversity = _about_geometric_mean(probs, labels)
    return AmbiguityDecomposition(ensemble, nll(of_truth(probs, labels)).mean(dim=0), diversity)


def _of_zero_one(probs: _Predictions, labels: _Labels) -> AmbiguityDecomposition:
    predicted = probs.argmax(dim=2)
    wrong = (predicted != labels).double().mean(dim=0)
    vote_wrong = vote(predicted, probs.mean(dim=0)) != labels
    return AmbiguityDecomposition(vote_wrong.double(), wrong, torch.where(vote_wrong, wrong - 1, wrong))


_AMBIGUITY: dict[str, Callable[[Tensor, Tensor], AmbiguityDecomposition]] = {
    "squared_error": _of_squared_error,
    "cross_entropy": _of_cross_entropy,
    "zero_one": _of_zero_one,
}
_CENTRES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "squared_error": _about_arithmetic_mean,
    "cross_entropy": _about_geometric_mean,
}
