"""Metrics of an ensemble's predictions ``(members, samples, classes)``, from any framework.

Every metric is a function of means over test points of a few numbers that each point has by itself, which ``point_statistics``
collects: ``diversity`` weighs all points alike, a bootstrap replicate by how often it drew them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import Array, as_tensor, checked_members, checked_predictions
from sharpdiv.empirical.predictions.scores import BINS, CHUNK, nll, scores
from sharpdiv.registry import Registry

__all__ = [
    "METRICS",
    "Metric",
    "PointStatistics",
    "as_numbers",
    "competent",
    "diversity",
    "logit_variance",
    "point_statistics",
    "vote",
]


Metrics = dict[str, float | bool | list[float] | None]


@dataclass(frozen=True)
class Metric:
    """A metric of diversity that is a mean over test points.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.metrics import Metric
        >>> def all_agree(probs, labels):
        ...     return (probs.argmax(dim=2) == probs[0].argmax(dim=1)).all(dim=0).double()
        >>> metric = Metric("unanimity", "all members agree", all_agree)  # METRICS.add(metric) puts it into ``diversity``
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> metric.of_points(probs, torch.tensor([0, 0]))
        tensor([1., 0.], dtype=torch.float64)
    """

    name: str
    """key in what ``diversity`` returns"""
    label: str
    """name for people"""
    of_points: Callable[[Tensor, Tensor], Tensor]
    """function from probabilities ``(members, samples, classes)`` in float64 and labels ``(samples,)`` to numbers ``(samples,)``"""


def _disagreement(probs: Tensor, _: Tensor) -> Tensor:
    members = len(probs)
    # Ordered pairs that agree, those of a member with itself included.
    agreeing = _votes(probs.argmax(dim=2), probs.shape[2]).square().sum(dim=1).double()
    return (members**2 - agreeing) / (members * (members - 1))


def _variance(probs: Tensor, _: Tensor) -> Tensor:
    return (probs - probs.mean(dim=0)).square().sum(dim=(0, 2)) / (len(probs) - 1)


def _kl(probs: Tensor, _: Tensor) -> Tensor:
    """Summed over pairs, entropies and cross entropies regroup into the unbiased covariance of p and log p."""
    log_probs = -nll(probs)
    return ((probs - probs.mean(dim=0)) * (log_probs - log_probs.mean(dim=0))).sum(dim=(0, 2)) / (len(probs) - 1)


METRICS = Registry(
    "metric",
    (
        Metric("disagreement", "disagreement of pairs", _disagreement),
        Metric("variance", "variance of the softmax", _variance),
        Metric("kl", "KL divergence of pairs", _kl),
    ),
)
"""Metrics of diversity; what is added here is in all that ``diversity`` gives, with bootstrap intervals."""


def diversity(probs: Array, labels: Array) -> Metrics:
    """Accuracy, diversity, calibration and likelihood of an ensemble.

    Keys: ``accuracy_members`` (list), ``accuracy_mean``, ``accuracy_ensemble`` (mean probabilities), ``accuracy_vote``
    (majority, ties to the higher mean probability); ``disagreement``, mean over member pairs of the fraction of samples
    with different predictions; ``der = disagreement / mean member error``; ``eir = (mean member error - ensemble error)
    / mean member error`` from mean probabilities and ``eir_vote`` from the vote (all three None at zero error);
    ``variance``, unbiased over members, summed over classes, averaged over samples; ``kl``, mean over ordered pairs of
    members, in nats; ``nll_mean``, ``nll_ensemble``, in nats, ``ece_mean``, ``ece_ensemble``: 15 equal-width
    right-closed bins of the top probability, whose edges rounding to float32 does not cross; ``brier_mean``,
    ``brier_ensemble``: squared error summed over classes. Probabilities are clipped at 1e-12 in logarithms. Metrics that were
    added to ``METRICS`` are there, too.

    ``competent`` and ``competence_bound`` are those of Theisen et al. (2023). With W the fraction of the members that are wrong
    on a sample, an ensemble is competent if ``P(t <= W < 1/2) >= P(1/2 <= W <= 1 - t)`` for all t in [0, 1/2]; an even number
    of members with a sample on which exactly half are wrong therefore never is. For M members, K classes, a competent ensemble
    and ``der' = (1 - 1 / M) der``, ``der' >= eir_vote >= competence_bound = 2 (K - 1) / K der' - (3 K - 4) / K`` (None at zero
    error). The theorem draws both members of a pair independently, so that one can meet itself: hence der', as the lower bound
    is false for der itself.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one: a tensor, an array of NumPy's, or lists (of
            tensors, too). Sums of half-precision numbers may be off by as much as rounding explains (bfloat16: .008) and are
            divided out, those of others by .001.
        labels: true classes ``(samples,)``, counted from 0, likewise; integers of any width.

    Returns:
        The metrics, as Python numbers.

    Raises:
        InputError: if there are fewer than two members, no samples, entries that are not probabilities, labels out of
            range, or shapes or types that do not match.

    References:
        Theisen, Kim, Yang, Hodgkinson and Mahoney (2023), "When are ensembles really effective?", arXiv:2305.12313.

    Examples:
        >>> import torch
        >>> from sharpdiv import diversity
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> found = diversity(probs, labels=torch.tensor([0, 0]))
        >>> found["disagreement"], found["accuracy_members"], found["accuracy_ensemble"]
        (0.5, [1.0, 0.5], 1.0)
        >>> found["der"], found["eir"]  # 0.5 / 0.25 and (0.25 - 0) / 0.25
        (2.0, 1.0)
    """
    points = point_statistics(probs, labels)
    right = points.table[:, : points.widths["right"]]
    values = points.metrics(torch.ones_like(points.table[:, 0])[None])
    return as_numbers(right.mean(dim=0), values, _competent(right))


def as_numbers(
    accuracy_members: Float[Tensor, " members"], values: dict[str, Float[Tensor, " 1"]], competent: bool
) -> Metrics:
    """What ``diversity`` returns, from what it is computed as.

    Args:
        accuracy_members: accuracy of each member.
        values: every scalar metric, NaN for one without value.
        competent: whether the ensemble is.

    Returns:
        The metrics, as Python numbers.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.metrics import as_numbers
        >>> as_numbers(torch.tensor([1.0, 1.0]), {"der": torch.tensor([torch.nan])}, competent=True)
        {'accuracy_members': [1.0, 1.0], 'der': None, 'competent': True}
    """
    # One transfer from the device, not one for each metric.
    numbers = torch.cat([accuracy_members, *values.values()]).tolist()
    members, scalars = numbers[: len(accuracy_members)], numbers[len(accuracy_members) :]
    named = {name: None if math.isnan(number) else number for name, number in zip(values, scalars, strict=True)}
    return {"accuracy_members": members, **named, "competent": competent}


@dataclass(frozen=True)
class PointStatistics:
    """Statistics of every test point, from which all scalar metrics are computed.

    Example: see ``point_statistics``.
    """

    table: Float[Tensor, "samples columns"]
    """the statistics of each test point"""
    widths: dict[str, int]
    """the columns' names and numbers, in order: ``right``, one for each member; metrics that are means over test points, one
    each; ``gaps``, right minus confidence in the bin of the confidence, for each member and then the ensemble"""
    classes: int
    """number of classes"""

    def metrics(self, counts: Float[Tensor, "replicates samples"]) -> dict[str, Float[Tensor, " replicates"]]:
        """Every scalar metric of test sets that hold each point ``counts`` times.

        Args:
            counts: times that each point is held, whole numbers in float64; each row sums to the number of samples.

        Returns:
            Numbers by the names of ``diversity``, NaN where that has None.
        """
        # Sums of right answers are sums of whole numbers, thus exact, and an error of zero is recognised.
        means = (counts @ self.table / len(self.table)).split(list(self.widths.values()), dim=1)
        right, gaps = means[0], means[-1].unflatten(1, (-1, BINS))
        values = {name: mean[:, 0] for name, mean in zip(self.widths, means, strict=True) if mean.shape[1] == 1}
        accuracy = right.sum(dim=1) / right.shape[1]  # of ones exactly one, on every device
        der = values["disagreement"] / _error(accuracy)
        slope, offset = 2 * (self.classes - 1) / self.classes, (3 * self.classes - 4) / self.classes
        calibration = gaps.abs().sum(dim=2)
        return {
            "accuracy_mean": accuracy,
            **values,
            "der": der,
            "eir": _improvement_rate(values["accuracy_ensemble"], accuracy),
            "eir_vote": _improvement_rate(values["accuracy_vote"], accuracy),
            "competence_bound": slope * (1 - 1 / right.shape[1]) * der - offset,
            "ece_mean": calibration[:, :-1].mean(dim=1),
            "ece_ensemble": calibration[:, -1],
        }


def _error(accuracy: Float[Tensor, " replicates"]) -> Float[Tensor, " replicates"]:
    """Error that ratios are taken to: NaN where it is zero."""
    return torch.where(accuracy < 1, 1 - accuracy, torch.nan)


def _improvement_rate(
    ensemble: Float[Tensor, " replicates"], members: Float[Tensor, " replicates"]
) -> Float[Tensor, " replicates"]:
    """EIR: by how much of the members' error the ensemble's is smaller, from accuracies."""
    return (ensemble - members) / _error(members)


def point_statistics(probs: Array, labels: Array) -> PointStatistics:
    """Statistics of every test point, from which all scalar metrics are computed; errors are those of ``diversity``.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        The statistics, a row for each point.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.metrics import point_statistics
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> points = point_statistics(probs, torch.tensor([0, 0]))
        >>> replicates = torch.tensor([[1.0, 1.0], [0.0, 2.0]], dtype=torch.float64)  # both samples, and the second one twice
        >>> points.metrics(replicates)["disagreement"].tolist()
        [0.5, 1.0]
    """
    probs, labels = checked_predictions(probs, labels)
    chunk = max(1, CHUNK // (len(probs) * max(probs.shape[2], BINS)))
    parts = [_columns(*part) for part in zip(probs.split(chunk, dim=1), labels.split(chunk), strict=True)]
    table = torch.cat([torch.cat(list(part.values()), dim=1) for part in parts])
    return PointStatistics(table, {name: column.shape[1] for name, column in parts[0].items()}, probs.shape[2])


_OURS = frozenset(
    (
        *("right", "gaps", "competent", "competence_bound", "der", "eir", "eir_vote"),
        *("accuracy_members", "accuracy_mean", "accuracy_ensemble", "accuracy_vote"),
        *("nll_mean", "nll_ensemble", "ece_mean", "ece_ensemble", "brier_mean", "brier_ensemble"),
    )
)
"""Names of what else ``diversity`` gives."""


def _columns(
    probs: Float[Tensor, "members samples classes"], labels: Int[Tensor, " samples"]
) -> dict[str, Float[Tensor, "samples _"]]:
    """The columns of ``PointStatistics``."""
    if taken := _OURS & set(METRICS):
        raise InputError(f"a metric of METRICS is called {min(taken)}, as another one of ours; give it another name")
    mean_probs = probs.mean(dim=0)
    each = scores(torch.cat([probs, mean_probs[None]]), labels)
    predicted = each["predicted"][:-1]
    means = {
        "accuracy_ensemble": each["accuracy"][-1],
        "accuracy_vote": (vote(predicted, mean_probs) == labels).double(),
        **{name: metric.of_points(probs, labels) for name, metric in METRICS.items()},
        "nll_mean": each["nll"][:-1].mean(dim=0),
        "nll_ensemble": each["nll"][-1],
        "brier_mean": each["brier"][:-1].mean(dim=0),
        "brier_ensemble": each["brier"][-1],
    }
    gaps = each["gaps"].transpose(0, 1).flatten(1)
    return {"right": each["accuracy"][:-1].T, **{name: mean[:, None] for name, mean in means.items()}, "gaps": gaps}


def _competent(right: Float[Tensor, "samples members"]) -> bool:
    """Whether wrong minorities outweigh wrong majorities (``diversity`` has the definition)."""
    members = right.shape[1]
    return competent(torch.bincount(members - right.sum(dim=1).long(), minlength=members + 1).tolist())


def competent(wrong: list[int]) -> bool:
    """Whether an ensemble is competent in the sense of Theisen et al. (``diversity`` has the definition); in whole numbers.

    Args:
        wrong: numbers of samples on which 0, 1, ... and all members are wrong.

    Returns:
        The truth value.

    Examples:
        >>> from sharpdiv.empirical.predictions.metrics import competent
        >>> competent([0, 2, 1, 0]), competent([0, 1, 2, 0])  # of three members one is wrong more often than two, and less
        (True, False)
    """
    members = len(wrong) - 1
    half = (members + 1) // 2  # the fewest wrong members that are no minority
    # Both probabilities only change at multiples t = i / members.
    return all(sum(wrong[i:half]) >= sum(wrong[half : members - i + 1]) for i in range(members // 2 + 1))


def logit_variance(logits: Array) -> float:
    """Variance of the logits over members: the paper's diversity, taken on a network's outputs.

    Each sample's mean logit is removed first, as the softmax ignores it. Unbiased over members, summed over classes, averaged over
    samples, as ``variance`` of ``diversity`` is.

    Args:
        logits: outputs of the members ``(members, samples, classes)``.

    Returns:
        The variance.

    Raises:
        InputError: if there are fewer than two members, no samples, or logits that are not finite numbers.

    Examples:
        >>> import torch
        >>> from sharpdiv import logit_variance
        >>> logits = torch.tensor([[[1.0, -1.0]], [[3.0, -3.0]]])  # one sample: 1 and 3 have the variance 2, and so have -1 and -3
        >>> logit_variance(logits)
        4.0
    """
    logits = checked_members(logits, "logits")
    return float((logits - logits.mean(dim=2, keepdim=True)).var(dim=0, unbiased=True).sum(dim=1).mean())


def vote(predicted: Array, mean_probs: Array) -> Int[Tensor, " samples"]:
    """Majority vote of the members, ties to the class of the higher mean probability.

    Args:
        predicted: class that each member predicts for each sample, ``(members, samples)``.
        mean_probs: mean probabilities ``(samples, classes)``, which decide between classes with equally many votes.

    Returns:
        The winning class of each sample.

    Examples:
        >>> import torch
        >>> from sharpdiv import vote
        >>> predicted = torch.tensor([[0, 1], [1, 1]])  # a tie, and a majority against the mean probabilities
        >>> vote(predicted, mean_probs=torch.tensor([[0.6, 0.4], [0.7, 0.3]]))
        tensor([0, 1])
    """
    predicted, mean_probs = as_tensor(predicted, "predicted").long(), as_tensor(mean_probs, "mean_probs")
    votes = _votes(predicted, mean_probs.shape[1])
    winners = votes == votes.max(dim=1, keepdim=True).values
    return mean_probs.masked_fill(~winners, -torch.inf).argmax(dim=1)


def _votes(predicted: Int[Tensor, "members samples"], classes: int) -> Int[Tensor, "samples classes"]:
    votes = torch.zeros(predicted.shape[1], classes, dtype=torch.int64, device=predicted.device)
    return votes.scatter_add_(1, predicted.T, torch.ones_like(predicted.T))
