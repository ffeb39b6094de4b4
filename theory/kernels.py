"""Networks in the lazy limit: predictions, errors and sharpness from tangent kernels and labels, by the filters of SAM.

A linearized network ``h(w) = J (w - w_0)`` trained on ``|h - y|^2 / 2n`` is the quadratic problem with ``W = J'J / n``. Residuals
on its training samples follow ``r_k = a(K/n) r_0`` with ``K = JJ'``, a mode v at the eigenvalue x of K/n adds
``K_test v (1 - a(x)) / (n x) v'y`` to the predictions, and sharpness needs ``g = J'r / n``, whose length along v is
``sqrt(x / n) v'r``.

Outputs are centred over a member's own training samples, J by J - mean J: without that the top modes are near-constant and
throttle the learning rate. A network whose centred outputs are scaled by alpha, with its loss divided by ``alpha^2``, has the
same filters; its sharpness at ``radius / alpha``, times ``alpha^2``, is the one given here for ``radius``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Filter
from sharpdiv.theory.optimizers import optimizer_named
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.theorems.sharpness import trust_region_maximum
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = [
    "BinnedModes",
    "LinearizedNetwork",
    "TwoPointMeasure",
    "bin_modes",
    "ensemble_errors",
    "linearize",
    "two_point_measure",
]


@dataclass(frozen=True)
class LinearizedNetwork:
    """One member in the eigenbasis of its centred kernel; samples are those of training, then those of the test.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import linearize
        >>> kernel = np.array([[1.0, -1.0], [-1.0, 1.0]])[:, None, :, None]
        >>> member = linearize(kernel, kernel[:0], labels=np.array([[-3.0], [3.0]]))
        >>> trained = member.training(0.5, np.zeros(1), 100)
        >>> member.sharpness(trained, 0.1).round(6).tolist()  # at the minimum x_max radius^2 / 2, and x_max is 1
        [0.005]
    """

    eigenvalues: Float[np.ndarray, " modes"]
    """eigenvalues of K/n on the samples it trains on"""
    targets: Float[np.ndarray, " modes"]
    """their centred labels along the eigenvectors, ``v'y / sqrt(n)``"""
    modes: Float[np.ndarray, "modes samples classes"]
    """``K v v'y / n``: what a mode adds to the predictions, times ``x / (1 - a(x))``"""
    labels: Float[np.ndarray, "samples classes"]
    """one column for each class"""
    intercept: Float[np.ndarray, " classes"]
    """mean label of the samples it trains on, which centring takes out and predictions put back"""
    surface: tuple[Float[np.ndarray, " entries"], Float[np.ndarray, "entries entries"]]
    """eigenvalues and eigenvectors of K/n on all training samples, on which sharpness is taken"""

    @property
    def largest(self) -> float:
        """Largest eigenvalue of K/n: SAM is stable while ``eta x (1 + rho x) < 2`` there."""
        return float(self.eigenvalues.max())

    @cached_property
    def spectrum(self) -> EmpiricalSpectrum:
        """The y-weighted spectral measure: training loss and gradient norm are integrals against it."""
        return EmpiricalSpectrum(self.eigenvalues, self.targets**2)

    def training(
        self, learning_rate: float, rho: Float[np.ndarray, " rho"], steps: int, *, optimizer: str = "sam"
    ) -> Filter:
        """Some steps of an optimizer on this member.

        Args:
            learning_rate: eta.
            rho: values of rho; for ``normalized-sam`` lengths of the ascent, times alpha.
            steps: k.
            optimizer: key of ``OPTIMIZERS``; what it needs of the gradient is this member's own, step by step.

        Returns:
            The residual filter; NaN where the optimizer has no formula.
        """
        # |grad|^2 = int x a^2 over the y-weighted measure, which is that setting's term of the label noise.
        setting = Setting(1, 1, steps, learning_rate, init_variance=0.0, teacher_norm=0.0, label_noise=1.0)
        return optimizer_named(optimizer).filter(setting, rho, self.spectrum)

    def predictions(self, training: Filter) -> Float[np.ndarray, "rho samples classes"]:
        """Predicted labels of all samples.

        Returns:
            One set for each rho.
        """
        return np.tensordot(_learnt(training, self.eigenvalues), self.modes, axes=1) + self.intercept

    def training_loss(self, training: Filter) -> Float[np.ndarray, " rho"]:
        """``|h - y|^2 / 2n`` on the samples it trains on.

        Returns:
            Half the integral of ``a^2`` over the y-weighted measure, for each rho.
        """
        return np.asarray(self.spectrum.integrate(lambda x: training.residual(x) ** 2)) / 2

    def sharpness(self, training: Filter, radius: float) -> Float[np.ndarray, " rho"]:
        """Largest increase of the loss on all training samples within an l2 ball of the weights, exact.

        Args:
            training: the steps, as a filter.
            radius: radius of the ball, times alpha.

        Returns:
            kappa, times ``alpha^2``, for each rho; NaN where the training is outside the domain of its formula.
        """
        values, vectors = self.surface
        count = len(vectors) // self.labels.shape[1]
        residual = (self.labels - self.predictions(training))[:, :count].reshape(-1, len(vectors))
        gradient = np.sqrt(values / count) * (residual @ vectors)
        valid = np.isfinite(gradient).all(axis=1)
        kappa = np.full(valid.shape, np.nan)
        kappa[valid] = trust_region_maximum(values[None], gradient[valid], radius)
        return kappa


def linearize(
    train: Float[np.ndarray, "train classes train classes"],
    test: Float[np.ndarray, "test classes train classes"],
    labels: Float[np.ndarray, "samples classes"],
    block: Int[np.ndarray, " own"] | None = None,
) -> LinearizedNetwork:
    """A member from the tangent kernel at its initialization, centred over the samples it trains on.

    Args:
        train: kernel among the training samples, for all pairs of classes.
        test: kernel of test with training samples.
        labels: labels of the training, then of the test samples, one column for each class (ones and zeros for instance).
        block: indices of the training samples this member trains on; all unless given.

    Returns:
        The member.

    Raises:
        DomainError: if shapes do not fit, a number is not finite, an index is not that of a training sample, or the kernel is
            zero.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import linearize
        >>> X = np.array([[-1.0], [1.0], [2.0]])  # two training samples and one of the test, of one class
        >>> kernel = (X @ X.T)[:, None, :, None]
        >>> member = linearize(kernel[:2, :, :2], kernel[2:, :, :2], labels=3 * X)
        >>> member.predictions(member.training(0.5, np.zeros(1), 100)).round(6).ravel().tolist()
        [-3.0, 3.0, 6.0]
    """
    count, classes = len(train), labels.shape[1]
    expected = {"train": (count, classes, count, classes), "test": (len(labels) - count, classes, count, classes)}
    for name, kernel in (("train", train), ("test", test)):
        if kernel.shape != expected[name]:
            raise DomainError(f"the {name} kernel must have shape {expected[name]}, got {kernel.shape}")
        if not np.isfinite(kernel).all():
            raise DomainError(f"the {name} kernel is not finite")
    if not np.isfinite(labels).all():
        raise DomainError("the labels are not finite")
    own = np.arange(count) if block is None else block
    # A mask would select the same samples, but its size is not their number.
    integer = np.issubdtype(own.dtype, np.integer) and own.size == np.unique(own).size
    if not (integer and own.size and own.min() >= 0 and own.max() < count):
        raise DomainError(
            f"block must hold indices of the {count} training samples, each once (flatnonzero of a mask), got {own}"
        )
    rows = np.concatenate([train, test]).astype(np.float64)
    rows -= rows[own].mean(axis=0)
    rows -= rows[:, :, own].mean(axis=2, keepdims=True)
    surface = values, vectors = _diagonalise(rows[:count])
    if block is not None:
        values, vectors = _diagonalise(rows[own][:, :, own])
    intercept = labels[own].mean(axis=0)
    targets = vectors.T @ (labels[own] - intercept).reshape(-1) / np.sqrt(own.size)
    modes = (rows[:, :, own].reshape(-1, len(vectors)) @ vectors * (targets / np.sqrt(own.size))).T
    return LinearizedNetwork(values, targets, modes.reshape(len(vectors), -1, classes), labels, intercept, surface)


def _diagonalise(kernel: Float[np.ndarray, "n classes n classes"]) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of K/n, those below 0 by rounding set to it, and eigenvectors over (sample, class)."""
    samples, classes = kernel.shape[:2]
    values, vectors = np.linalg.eigh(kernel.reshape(samples * classes, -1) / samples)
    if not values[-1] > 0:
        raise DomainError("the centred tangent kernel is zero: no training can move these outputs apart")
    return np.maximum(values, 0), vectors


def _learnt(training: Filter, x: Float[np.ndarray, " modes"]) -> Float[np.ndarray, "rho modes"]:
    """``(1 - a(x)) / x``; where x is 0 the kernel adds nothing, whatever the factor."""
    fitted = 1 - training.residual(x)
    return np.divide(fitted, x, out=np.zeros_like(fitted), where=x > 0)


def ensemble_errors(
    products: Float[np.ndarray, "... members members"],
) -> dict[str, Float[np.ndarray, "..."]]:
    """Diversity and squared errors of an ensemble from the inner products of its members' errors.

    Args:
        products: ``P_ij``, mean over test samples of ``(h_i - y)'(h_j - y)``.

    Returns:
        ``diversity``, the unbiased variance over members summed over classes; ``member_error``; ``ensemble_error`` of the mean
        prediction; ``eir = (member_error - ensemble_error) / member_error``.

    Raises:
        DomainError: if there are fewer than two members.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import ensemble_errors
        >>> opposite = np.array([[1.0, -1.0], [-1.0, 1.0]])  # two members whose errors, 1 and -1, cancel
        >>> {name: float(value) for name, value in ensemble_errors(opposite).items()}
        {'diversity': 2.0, 'member_error': 1.0, 'ensemble_error': 0.0, 'eir': 1.0}
    """
    members = products.shape[-1]
    if members < 2:
        raise DomainError(f"an ensemble needs at least 2 members, got {members}")
    member = products.trace(axis1=-2, axis2=-1) / members
    ensemble = products.mean(axis=(-2, -1))
    values = {
        "diversity": (member - ensemble) * members / (members - 1),
        "member_error": member,
        "ensemble_error": ensemble,
        "eir": improvement_rate(np.asarray(member), np.asarray(ensemble)),
    }
    return {name: np.asarray(value) for name, value in values.items()}


@dataclass(frozen=True)
class TwoPointMeasure:
    """What predictions keep of an ensemble's kernels if only their spectra are known, in units of each largest eigenvalue.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Training, TwoPointMeasure
        >>> measure = TwoPointMeasure(nodes=np.ones(1), weights=np.ones(1), covariance=np.full((1, 1), 2.0))
        >>> half = Training(0.5, np.zeros((1, 1)), 1)  # one step of gradient descent learns half of it
        >>> measure.diversity(half).tolist(), measure.training_loss(half).tolist()
        ([0.5], [0.125])
    """

    nodes: Float[np.ndarray, " bins"]
    """eigenvalues x / x_max"""
    weights: Float[np.ndarray, " bins"]
    """y-weighted measure, mean over members"""
    covariance: Float[np.ndarray, "bins bins"]
    """Gamma: covariance over members of what the modes in a bin add to test predictions, summed over classes, mean over samples"""

    def diversity(self, training: Filter) -> Float[np.ndarray, " rho"]:
        """``sum Gamma_bc l_b l_c`` with ``l = (1 - a(x)) / x``.

        Args:
            training: the steps, as a filter of ``x / x_max``: its learning rate and rho are ``x_max`` times those of a member.

        Returns:
            D for each rho.
        """
        learnt = _learnt(training, self.nodes)
        return np.einsum("rb,bc,rc->r", learnt, self.covariance, learnt)

    def training_loss(self, training: Filter) -> Float[np.ndarray, " rho"]:
        """Half the integral of ``a^2`` over the y-weighted measure.

        Returns:
            One loss for each rho.
        """
        return np.asarray(training.residual(self.nodes) ** 2 @ self.weights) / 2

    def sharpness(self, training: Filter, radius: float) -> Float[np.ndarray, " rho"]:
        """Exact kappa of a member with the mean measure.

        Args:
            training: the steps, as a filter of ``x / x_max``.
            radius: radius of the ball, times the root of each member's largest eigenvalue.

        Returns:
            kappa for each rho.
        """
        gradient = np.sqrt(self.nodes * self.weights) * training.residual(self.nodes)
        return trust_region_maximum(self.nodes[None], gradient, radius)


@dataclass(frozen=True)
class BinnedModes:
    """One member's share of a ``TwoPointMeasure``.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import BinnedModes
        >>> member = BinnedModes(weights=np.array([0.0, 4.0]), moments=np.array([0.0, 2.0]), added=np.zeros((2, 1, 1)))
        >>> float(member.moments[1] / member.weights[1])  # mean of x / x_max in the bin
        0.5
    """

    weights: Float[np.ndarray, " bins"]
    """weights of the y-weighted measure"""
    moments: Float[np.ndarray, " bins"]
    """those weights, times ``x / x_max``"""
    added: Float[np.ndarray, "bins test classes"]
    """what the modes in a bin add to test predictions, in units of ``1 / x_max``"""


def bin_modes(member: LinearizedNetwork, train: int, bins: int = 32) -> BinnedModes:
    """Gather a member's modes by ``x / x_max``, in equal steps of its logarithm down to 1e-6.

    Args:
        member: member whose modes are gathered.
        train: number of training samples, the first of the member's samples.
        bins: number of bins; the first also takes all that is below.

    Returns:
        Sums over the modes in each bin.

    Raises:
        DomainError: if there are fewer than two bins.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import bin_modes, linearize
        >>> kernel = np.array([[1.0, -1.0], [-1.0, 1.0]])[:, None, :, None]
        >>> member = linearize(kernel, kernel[:0], labels=np.array([[-3.0], [3.0]]))
        >>> bin_modes(member, train=2, bins=2).weights.round(6).tolist()  # the labels' variance is at x_max
        [0.0, 9.0]
    """
    if bins < 2:
        raise DomainError(f"expected at least 2 bins, got {bins}")
    x = member.eigenvalues / member.largest
    where = np.digitize(x, _edges(bins)[1:-1])
    weights, moments = (np.bincount(where, values, bins) for values in (member.targets**2, member.targets**2 * x))
    test = member.modes[:, train:] / member.largest
    return BinnedModes(weights, moments, np.stack([test[where == b].sum(axis=0) for b in range(bins)]))


def two_point_measure(members: list[BinnedModes]) -> TwoPointMeasure:
    """The measure of an ensemble; its only error is that of the binning.

    Args:
        members: binned modes of two members or more, with the same bins.

    Returns:
        Means and covariances over members.

    Raises:
        DomainError: if there are fewer than two members.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import BinnedModes, two_point_measure
        >>> top = np.array([0.0, 1.0])  # all of the measure at x_max
        >>> members = [BinnedModes(top, top, top[:, None, None] * added) for added in (1.0, 3.0)]
        >>> two_point_measure(members).covariance.tolist()
        [[0.0, 0.0], [0.0, 2.0]]
    """
    if len(members) < 2:
        raise DomainError(f"a covariance over members needs at least 2, got {len(members)}")
    weights = np.sum([m.weights for m in members], axis=0)
    moments = np.sum([m.moments for m in members], axis=0)
    edges = _edges(len(weights))
    # A bin without weight gets its middle; nothing depends on it.
    nodes = np.divide(moments, weights, out=np.sqrt(edges[1:] * edges[:-1]), where=weights > 0)
    added = np.stack([m.added for m in members])
    centred = added - added.mean(axis=0)
    covariance = np.einsum("mbtc,metc->be", centred, centred) / ((len(members) - 1) * added.shape[2])
    return TwoPointMeasure(nodes, weights / len(members), covariance)


def _edges(bins: int) -> Float[np.ndarray, " edges"]:
    return np.logspace(-6, 0, bins + 1)
