"""SharpBalance around networks, loaders and optimizers of one's own: epochs are counted, scores are exchanged by itself."""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sharpdiv.empirical.batches import Inputs, Loss, leaves, refilled
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import Rule, sam_samples, sharpbalance_step, sharpness_aware_sets

__all__ = ["BalancedMember", "SharpBalance"]

_READ_TWICE = 16
"""Samples that are read twice, to see whether they are random."""


class BalancedMember:
    """One network of an ensemble that ``SharpBalance`` trains.

    Args:
        number: place in the ensemble.
        model: the network.
        optimizer: SAM over its parameters.
        ensemble: the ensemble.

    Example: see ``SharpBalance``.
    """

    def __init__(self, number: int, model: nn.Module, optimizer: SAM, ensemble: "SharpBalance") -> None:
        self.number, self.model, self.optimizer, self._ensemble = number, model, optimizer, ensemble
        self.sam_samples = 0
        """number of samples that went through SAM in this epoch"""
        self._seen = torch.zeros(ensemble.samples, dtype=torch.bool)

    def step(self, inputs: Inputs, targets: Tensor, indices: Tensor) -> Tensor:
        """A step of the base optimizer before the exchange of scores, and ``sharpbalance_step`` after it.

        Args:
            inputs: inputs of a batch, on the model's device.
            targets: targets of the batch.
            indices: indices of its samples in the data set, as ``IndexedDataset`` gives them.

        Returns:
            The batch's mean loss at the unperturbed weights, detached.

        Raises:
            InputError: if there is no epoch going on, an index is none of the data set's, or the labels of an epoch's first
                batch are not those that the samples of these indices were scored with.
        """
        ensemble = self._ensemble
        if not ensemble.running:
            raise InputError(
                "step outside of an epoch: train inside `with ensemble.training_epoch():`, which counts it"
            )
        places = _checked(indices, ensemble.samples)
        if not self._seen.any():
            ensemble.require_scored(targets, places)
        aware = torch.zeros(len(places), dtype=torch.bool)
        if ensemble.sets is not None:
            aware = ensemble.sets[self.number, places]
        loss = sharpbalance_step(
            self.model, self.optimizer, inputs, targets, aware, ensemble.loss, m=ensemble.m, autocast=ensemble.autocast
        )
        self.sam_samples += sam_samples(aware)
        self._seen[places] = True
        return loss

    def begin(self) -> None:
        """Forget the epoch before."""
        self.sam_samples = 0
        self._seen.zero_()

    @property
    def missed(self) -> int:
        """Samples of the data set that were in no batch of this epoch."""
        return int((~self._seen).sum())


class SharpBalance:
    """An ensemble whose members exchange scores once and then apply SAM where the others are sharp (Lu et al. 2024).

    Members train by their base optimizers for ``switch_epoch`` epochs. Then every member scores every sample with
    ``per_sample_sharpness``, ``sharpness_aware_sets`` forms the sets, and steps are ``sharpbalance_step``: what ``sharpdiv train
    --method sharpbalance`` does, to the bit for the same batches in the same memory format. Members may see the samples in
    any order, by loaders of their own: indices tell which is which.

    Args:
        models: networks of the members, without common parameters.
        optimizers: SAM over the parameters of each.
        scoring: loader of batches ``(inputs, targets, indices)`` of an ``IndexedDataset`` in any order, every sample once, without
            augmentation, in batches that fit a pass for scores.
        epochs: number of epochs of the whole training.
        switch_epoch: epochs before the exchange, 0 for networks that are trained already.
        top_fraction: fraction of a member's sharpest samples that the others treat with SAM.
        rule: way to form the sets, see ``sharpness_aware_sets``.
        loss: mean loss of outputs and targets that is trained with; scores are the loss's.
        m: number of samples that share one ascent; all aware ones of a batch unless given.
        autocast: lower precision of the passes, ``torch.bfloat16``.
        generator: source of random samples for rules that need one.

    Raises:
        InputError: if members share parameters or optimizers, an optimizer has another network's, no epoch is left after the
            exchange, or the sets' options have no meaning.

    References:
        Lu et al., Sharpness-diversity tradeoff: improving flat ensembles with SharpBalance, NeurIPS 2024.

    Examples:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from sharpdiv import SAM, IndexedDataset, SharpBalance
        >>> _ = torch.manual_seed(0)
        >>> data = IndexedDataset(TensorDataset(torch.randn(8, 3), torch.arange(8) % 2))
        >>> models = [torch.nn.Linear(3, 2) for _ in range(2)]
        >>> optimizers = [SAM(model.parameters(), torch.optim.SGD, rho=0.1, lr=0.1) for model in models]
        >>> loaders = [DataLoader(data, batch_size=4, shuffle=True) for _ in models]
        >>> ensemble = SharpBalance(models, optimizers, DataLoader(data, batch_size=8), epochs=2, switch_epoch=1)
        >>> while ensemble.epoch < ensemble.epochs:
        ...     with ensemble.training_epoch():
        ...         for member, loader in zip(ensemble.members, loaders):
        ...             for inputs, targets, indices in loader:
        ...                 _ = member.step(inputs, targets, indices)
        >>> ensemble.sets.sum(dim=1)  # each takes the other's sharper half
        tensor([4, 4])
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[SAM],
        scoring: DataLoader[Any],
        *,
        epochs: int,
        switch_epoch: int,
        top_fraction: float = 0.5,
        rule: Rule = "paper",
        loss: Loss = nn.functional.cross_entropy,
        m: int | None = None,
        autocast: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if not 0 <= switch_epoch < epochs:
            raise InputError(
                f"scores would never be exchanged: switch_epoch must lie between 0 and {epochs - 1}, got {switch_epoch}"
            )
        _require_apart(models, optimizers)
        self.samples = len(scoring.dataset)  # type: ignore[arg-type]  # of an indexed data set
        self.epochs, self.switch_epoch, self.top_fraction, self.rule = epochs, switch_epoch, top_fraction, rule
        self.loss, self.m, self.autocast = loss, m, autocast
        self._scoring, self._generator = scoring, generator
        # With options that cannot form sets it should not take until the exchange to know.
        sharpness_aware_sets(
            torch.zeros(len(models), self.samples), top_fraction, rule, generator and torch.Generator()
        )
        self.epoch = 0
        """epochs done"""
        self.running = False
        """whether an epoch is going on"""
        self.scores: Float[Tensor, "members samples"] | None = None
        """sharpness of each sample for each member, once exchanged"""
        self.sets: Bool[Tensor, "members samples"] | None = None
        """samples that each member treats with SAM, once scores are exchanged"""
        pairs = zip(models, optimizers, strict=True)
        self.members = [BalancedMember(number, *pair, self) for number, pair in enumerate(pairs)]
        self._labels: Tensor | None = None
        self._told: set[int] = set()

    @contextmanager
    def training_epoch(self) -> Iterator[int]:
        """One epoch of every member, before which scores are exchanged if it is the switch epoch.

        Yields:
            The number of the epoch, from 0 on.

        Raises:
            InputError: if all epochs are done, one is going on, or at its end a member took no step, or no SAM step though
                samples are marked. Samples that a member's loader left out are warned of once.
        """
        if self.running or self.epoch >= self.epochs:
            raise InputError(
                f"epoch {self.epoch} of {self.epochs} is {'going on' if self.running else 'beyond the last'}"
            )
        if (
            self.epoch == self.switch_epoch and self.sets is None
        ):  # an epoch that failed is begun again by the same sets
            self._exchange()
        for member in self.members:
            member.begin()
        self.running = True
        try:
            yield self.epoch
        finally:
            self.running = False
        for member in self.members:
            self._look_back(member)
        self.epoch += 1

    def require_scored(self, targets: Tensor, places: Tensor) -> None:
        """Compare labels with those that were scored, where they are labels; indices of another data set are found out.

        Args:
            targets: targets of a batch.
            places: indices of its samples, on the CPU.

        Raises:
            InputError: if they differ.
        """
        if self._labels is None or targets.shape != places.shape or targets.is_floating_point():
            return
        if not torch.equal(targets.cpu().long(), self._labels[places]):
            raise InputError(
                "labels are not those that samples of these indices were scored with; index and score one data set"
            )

    def state_dict(self) -> dict[str, Any]:
        """All that training goes on from: networks, optimizers, epochs, scores and sets; order of samples and schedulers are yours.

        Returns:
            What ``load_state_dict`` takes, of tensors and numbers: ``torch.load`` reads it with ``weights_only=True``.

        Raises:
            InputError: if an epoch is going on.
        """
        if self.running:
            raise InputError("save between epochs, after the `with` block")
        members = [{"model": m.model.state_dict(), "optimizer": m.optimizer.state_dict()} for m in self.members]
        source = None if self._generator is None else self._generator.get_state()
        exchanged = {"scores": self.scores, "sets": self.sets, "labels": self._labels}
        return {"settings": self._settings, "epoch": self.epoch, **exchanged, "members": members, "generator": source}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, or stay as it was where that fails.

        Args:
            state: what ``state_dict`` gave, of an ensemble with the same settings.

        Raises:
            InputError: if an epoch is going on, settings were others, or something is missing or does not fit.
        """
        if self.running:
            raise InputError("load between epochs, after the `with` block")
        if state.get("settings") != self._settings:
            raise InputError(f"the state is of an ensemble with {state.get('settings')}, this one has {self._settings}")
        before = copy.deepcopy(self.state_dict())
        try:
            self._load(state)
        except BaseException as error:
            self._load(before)
            if isinstance(
                error, KeyError | TypeError | ValueError | RuntimeError
            ):  # what torch raises, and missing names
                raise InputError(f"the state does not fit this ensemble: {type(error).__name__}: {error}") from error
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        for member, saved in zip(self.members, state["members"], strict=True):
            member.model.load_state_dict(saved["model"])
            member.optimizer.load_state_dict(saved["optimizer"])
        self.epoch, self.scores, self.sets, self._labels = (state[n] for n in ("epoch", "scores", "sets", "labels"))
        if self._generator is not None and state["generator"] is not None:
            self._generator.set_state(state["generator"])

    @property
    def _settings(self) -> dict[str, Any]:
        """What must not change in the course of training."""
        sizes = {"members": len(self.members), "samples": self.samples}
        return {**sizes, "switch_epoch": self.switch_epoch, "top_fraction": self.top_fraction, "rule": self.rule}

    def _exchange(self) -> None:
        """Score every sample by every member and form the sets."""
        _require_fixed(self._scoring.dataset)
        scores = [torch.zeros(self.samples) for _ in self.members]
        times, labels = torch.zeros(2, self.samples, dtype=torch.int64)
        for inputs, targets, indices in self._scoring:
            places = _checked(indices, self.samples)
            times += torch.bincount(places, minlength=self.samples)
            if targets.ndim == 1 and not targets.is_floating_point():
                labels[places] = targets.cpu().long()
            for score, member in zip(scores, self.members, strict=True):
                device = next(member.model.parameters()).device
                found = per_sample_sharpness(member.model, _moved(inputs, device), targets.to(device), self.loss)
                score[places] = found.to("cpu", torch.float32)
        if not (times == 1).all():
            raise InputError(
                f"the scoring loader must give each of {self.samples} samples once, {int((times == 0).sum())} were left out "
                f"and {int((times > 1).sum())} came again; use drop_last=False and no sampler"
            )
        self.scores, self._labels = torch.stack(scores), labels
        self.sets = sharpness_aware_sets(self.scores, self.top_fraction, self.rule, self._generator)

    def _look_back(self, member: BalancedMember) -> None:
        """What went wrong in an epoch without an error."""
        name = f"member {member.number}"
        if member.missed == self.samples:
            raise InputError(f"{name} took no step in epoch {self.epoch}; call its step for every batch")
        if self.sets is not None and self.sets[member.number].any() and not member.sam_samples:
            raise InputError(
                f"{name} took no SAM step in epoch {self.epoch} though samples are marked; are batches too small?"
            )
        if member.missed and member.number not in self._told:
            self._told.add(member.number)
            text = f"{name}'s loader left out {member.missed} of {self.samples} samples in epoch {self.epoch}; is it drop_last?"
            warnings.warn(text, RuntimeWarning, stacklevel=4)


def _require_apart(models: Sequence[nn.Module], optimizers: Sequence[SAM]) -> None:
    """Members must not train each other's weights."""
    if len(models) != len(optimizers):
        raise InputError(
            f"each member needs a model and an optimizer, got {len(models)} models and {len(optimizers)} optimizers"
        )
    owner: dict[int, int] = {}
    for number, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        for name, parameter in model.named_parameters():
            other = owner.setdefault(parameter.untyped_storage().data_ptr(), number)
            if other != number and parameter.requires_grad and parameter.numel():
                raise InputError(f"members {other} and {number} share the parameter {name}; make a network for each")
        own = set(model.parameters())
        if not all(p in own for group in optimizer.param_groups for p in group["params"]):
            raise InputError(
                f"optimizer {number} has parameters that model {number} has not; give both in the same order"
            )


def _checked(indices: Tensor, samples: int) -> Tensor:
    """Indices of samples on the CPU, if they are that."""
    if indices.ndim != 1 or indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise InputError(
            f"indices must be one integer for each sample, got {indices.dtype} of shape {list(indices.shape)}"
        )
    places = indices.cpu().long()
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < samples:
        raise InputError(
            f"indices must lie between 0 and {samples - 1}, got {int(places.min())} to {int(places.max())}"
        )
    return places


def _moved(inputs: Any, device: torch.device) -> Any:
    """Inputs of a batch on a device."""
    return refilled(inputs, [leaf.to(device) for leaf in leaves(inputs) if isinstance(leaf, Tensor)])


def _require_fixed(dataset: Any) -> None:
    """Scores are of samples as they are, not of one random view of each."""
    for index in range(min(_READ_TWICE, len(dataset))):
        if not _same(dataset[index], dataset[index]):
            raise InputError(
                "the scoring loader's samples are random; score a data set without augmentation, in the same order"
            )


def _same(one: Any, other: Any) -> bool:
    """Whether two items hold the same numbers; what is neither an array nor made of arrays counts as the same."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, Mapping):
        return all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, tuple | list):
        return all(map(_same, one, other))
    return True
