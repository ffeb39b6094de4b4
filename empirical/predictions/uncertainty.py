"""Entropies of an ensemble's predictions in nats: total, within members, and between them."""

from jaxtyping import Float
from torch import Tensor

from sharpdiv.empirical.predictions.checked import Array, checked_probs
from sharpdiv.empirical.predictions.scores import nll

__all__ = ["entropy_of_mean", "mean_entropy", "mutual_information"]


def entropy_of_mean(probs: Array) -> Float[Tensor, " samples"]:
    """Entropy of the mean probabilities, called predictive or total uncertainty: ``mean_entropy + mutual_information``.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.

    Returns:
        Entropies, in nats; probabilities are clipped at 1e-12 in logarithms.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv import entropy_of_mean
        >>> entropy_of_mean(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])).round(decimals=4)  # log 2: the mean is (1/2, 1/2)
        tensor([0.6931], dtype=torch.float64)
    """
    return _entropy(checked_probs(probs).mean(dim=0))


def mean_entropy(probs: Array) -> Float[Tensor, " samples"]:
    """Mean of the members' entropies, called aleatoric uncertainty.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.

    Returns:
        Entropies, in nats; probabilities are clipped at 1e-12 in logarithms.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv import mean_entropy
        >>> mean_entropy(torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]])).round(decimals=4)  # (0 + log 2) / 2
        tensor([0.3466], dtype=torch.float64)
    """
    return _entropy(checked_probs(probs)).mean(dim=0)


def mutual_information(probs: Array) -> Float[Tensor, " samples"]:
    """Information between the class and the member that predicts it, called epistemic uncertainty.

    The same number is known as BALD (Houlsby et al. 2011) and as the members' Jensen-Shannon divergence: their mean ``KL(p ||
    mean p)``, computed as such; the difference of ``entropy_of_mean`` and ``mean_entropy``.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.

    Returns:
        Information, in nats, at most the logarithm of the number of members; probabilities are clipped at 1e-12 in logarithms.

    Raises:
        InputError: as ``diversity``.

    References:
        Houlsby, Huszár, Ghahramani and Lengyel (2011), "Bayesian active learning for classification and preference learning".

    Examples:
        >>> import torch
        >>> from sharpdiv import mutual_information
        >>> probs = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])  # sure and opposed; unsure and agreed
        >>> mutual_information(probs).round(decimals=4)  # log 2 and 0
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    probs = checked_probs(probs)
    return (probs * (nll(probs.mean(dim=0)) - nll(probs))).sum(dim=2).mean(dim=0)


def _entropy(probs: Float[Tensor, "*axes classes"]) -> Float[Tensor, "*axes"]:
    return (probs * nll(probs)).sum(dim=-1)
