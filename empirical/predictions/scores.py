"""Scores of single predictions: likelihood, Brier score, accuracy, and the gap between confidence and accuracy."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["BINS", "CHUNK", "nll", "of_truth", "scores"]

BINS = 15
"""Bins of the calibration error (Guo et al. 2017)."""
CHUNK = 2**18
"""Numbers of one intermediate result: 2 MiB, about a processor's second cache."""
_CLIP = 1e-12  # floor of a probability inside a logarithm
_ON_EDGE = (
    2.0**-21
)  # 4 units in the last place of float32: a share of votes, a mean of such shares, a softmax of logarithms


def scores(probs: Float[Tensor, "predictors samples classes"], labels: Int[Tensor, " samples"]) -> dict[str, Tensor]:
    """Scores of every predictor on every sample.

    Args:
        probs: probabilities ``(predictors, samples, classes)`` in float64, checked.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        ``predicted`` (class), ``accuracy`` (1 or 0), ``nll`` (nats), ``brier`` (summed over classes), all
        ``(predictors, samples)``, and ``gaps`` ``(predictors, samples, bins)``: right minus confidence, in the bin of the
        confidence. Bins are closed on the right; a confidence above an edge by less than 5e-7 of itself lies on it, as shares of
        votes do after rounding to float32.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.scores import scores
        >>> found = scores(torch.tensor([[[0.75, 0.25]]], dtype=torch.float64), torch.tensor([1]))
        >>> [round(found[name].item(), 4) for name in ("accuracy", "nll", "brier")]  # 0, -log 1/4 and 2 (3/4)^2
        [0.0, 1.3863, 1.125]
    """
    confidence, predicted = probs.max(dim=2)
    truth = of_truth(probs, labels)
    right = (predicted == labels).double()
    bins = (confidence * (1 - _ON_EDGE) * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(*right.shape, BINS, dtype=probs.dtype, device=probs.device)
    return {
        "predicted": predicted,
        "accuracy": right,
        "nll": nll(truth),
        # sum_c (p_c - y_c)^2, without forming y.
        "brier": probs.square().sum(dim=2) - 2 * truth + 1,
        "gaps": gaps.scatter_(2, bins[..., None], (right - confidence)[..., None]),
    }


def of_truth(
    probs: Float[Tensor, "*axes samples classes"], labels: Int[Tensor, " samples"]
) -> Float[Tensor, "*axes samples"]:
    """Probability that each prediction gives to the label.

    Args:
        probs: probabilities ``(..., samples, classes)``.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        Probabilities ``(..., samples)``.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.scores import of_truth
        >>> of_truth(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), torch.tensor([0, 1]))
        tensor([0.9000, 0.6000])
    """
    return probs.gather(-1, labels.expand(probs.shape[:-1])[..., None])[..., 0]


def nll(truth: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Negative log-likelihood.

    Args:
        truth: probabilities of the labels, clipped at 1e-12 from below.

    Returns:
        Negative log-likelihoods, in nats.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.scores import nll
        >>> nll(torch.tensor([0.5, 0.25])).round(decimals=4)  # log 2 and 2 log 2
        tensor([0.6931, 1.3863])
    """
    return -truth.clamp_min(_CLIP).log()
