"""Measurement of anybody's ensemble, one network after the other: what ``sharpdiv measure --model`` calls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batches
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.ensembles.checkpoints import Checkpoints
from sharpdiv.empirical.ensembles.fixed import FixedBatches, joined
from sharpdiv.empirical.ensembles.members import Member, Work, device_of, measure_member
from sharpdiv.empirical.ensembles.result import Fit, MeasuredEnsemble, Sharpness
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.bootstrap import bootstrap
from sharpdiv.empirical.predictions.metrics import Metrics, diversity, logit_variance
from sharpdiv.empirical.predictions.representation import member_cka
from sharpdiv.empirical.predictions.sizes import by_size
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["measure_ensemble"]

_END: Any = object()


@float32_products()
def measure_ensemble(
    models: Iterable[nn.Module],
    test: Batches,
    *,
    train: Batches | None = None,
    how: MeasureConfig | None = None,
    layers: Sequence[str] = (),
    corrupted: Mapping[str, Sequence[Batches]] | None = None,
    progress: Progress = lambda *_: None,
) -> MeasuredEnsemble:
    """Measure an ensemble of any networks on any data: predictions, diversity, sharpness, features.

    Members are measured one after the other, each on the device where it is, in evaluation mode, and are afterwards what they were;
    of ``Checkpoints``, or of an iterator that makes networks, no two are needed at once. Batches have any form that measures of
    sharpness take. What there is no data for is not measured.

    Args:
        models: networks with logits ``(samples, classes)`` as outputs, or ``Checkpoints``.
        test: fixed batches of inputs and labels that predictions are made for: a ``DataLoader`` without shuffling, a list, or one
            batch.
        train: training data, likewise, un-augmented: for training accuracy, and sharpness on its first ``sharpness_samples``,
            which are put in batches of ``sharpness_batch``.
        how: settings; those of corrupted images and of records do not count here.
        layers: names of layers as in ``model.named_modules()``, whose features are compared between members.
        corrupted: corrupted test data: for each corruption the data of every severity.
        progress: listener, told after every member.

    Returns:
        All numbers, with logits, probabilities and labels.

    Raises:
        InputError: if there are fewer than two networks, they differ in classes or device, data differ when they are read again
            (shuffling, augmentation), or something does not fit; the message names the member.
        DivergenceError: if outputs or losses are not finite; the message names the member.

    Examples:
        >>> import torch
        >>> from sharpdiv import MeasureConfig, measure_ensemble
        >>> _ = torch.manual_seed(0)
        >>> models = [torch.nn.Linear(2, 3) for _ in range(2)]
        >>> batch = (torch.randn(50, 2), torch.randint(3, (50,)))
        >>> found = measure_ensemble(models, test=batch, train=batch, how=MeasureConfig(sharpness=("one_step",), replicates=100))
        >>> found.metric("accuracy_mean") == sum(found.of_members("train_accuracy")) / 2, len(found.sharpness("one_step"))
        (True, 2)
    """
    how = how or MeasureConfig()
    if isinstance(models, Sized) and len(models) < 2:
        raise InputError(f"an ensemble needs at least 2 networks, got {len(models)}")
    work = _work(how, test, train, layers, corrupted or {})
    members, labels, device = _members(models, work, progress)
    where = provenance(device) | (models.provenance() if isinstance(models, Checkpoints) else {})
    return _assembled(members, labels, work, where)


def _work(
    how: MeasureConfig,
    test: Batches,
    train: Batches | None,
    layers: Sequence[str],
    corrupted: Mapping[str, Sequence[Batches]],
) -> Work:
    fixed = None if train is None else FixedBatches(train, "training")
    return Work(
        how=how,
        test=FixedBatches(test, "test"),
        train=fixed,
        sharpness=joined(fixed.first(how.sharpness_samples), how.sharpness_batch) if fixed and how.sharpness else [],
        corrupted={name: [FixedBatches(data, name) for data in levels] for name, levels in corrupted.items()},
        layers=tuple(layers),
    )


def _members(
    models: Iterable[nn.Module], work: Work, progress: Progress
) -> tuple[list[Member], Int[Tensor, " samples"], torch.device]:
    """Measurements of all members, labels, and the device."""
    names = _names(models)
    members: list[Member] = []
    labels, device = torch.zeros(0), torch.device("cpu")
    total = len(models) if isinstance(models, Sized) else 0
    remaining = iter(models)
    # Not a for loop over pairs: it would keep the last network while the next one is made.
    while (model := next(remaining, _END)) is not _END:
        name = next(names)
        found = device_of(model, name)
        if members and found != device:
            raise InputError(f"{name} is on {found}, {members[0].name} on {device}: members must be on one device")
        device = found
        member, labels = measure_member(model, name, work)
        del model
        if members and (member.logits.shape != members[0].logits.shape):
            here, there = member.logits.shape[1], members[0].logits.shape[1]
            raise InputError(
                f"{name} has {here} outputs, {members[0].name} {there}: members must have the same classes"
            )
        members.append(member)
        progress("members", len(members), total or len(members))
    if len(members) < 2:
        raise InputError(f"an ensemble needs at least 2 networks, got {len(members)}")
    return members, labels, device


def _names(models: Iterable[nn.Module]) -> Iterator[str]:
    """What members are called: as their files, or by number."""
    if isinstance(models, Checkpoints):
        yield from models.names
    number = 0
    while True:
        number += 1
        yield f"member {number}"


def _assembled(
    members: Sequence[Member], labels: Int[Tensor, " samples"], work: Work, where: Mapping[str, object]
) -> MeasuredEnsemble:
    """What follows from the members together."""
    logits = torch.stack([member.logits for member in members])
    probs = logits.softmax(dim=2)
    first, how = members[0], work.how
    fits = [member.train for member in members if member.train]
    return MeasuredEnsemble(
        members=tuple(member.name for member in members),
        how=how,
        provenance=where,
        labels=labels.numpy(),
        logits=logits.numpy(),
        probs=probs.numpy(),
        metrics=diversity(probs, labels) | {"logit_variance": logit_variance(logits)},
        intervals=bootstrap(probs, labels, how.replicates),
        by_size=by_size(probs, labels),
        fit=Fit(tuple(a for a, _ in fits), tuple(loss for _, loss in fits)) if fits else None,
        sharpness_samples=sum(len(targets) for _, targets in work.sharpness),
        sharpness_by_measure={
            name: Sharpness(*map(tuple, zip(*(member.sharpness[name] for member in members), strict=True)))
            for name in first.sharpness
        },
        cka_by_layer={layer: _cka(layer, [member.features[layer] for member in members]) for layer in first.features},
        corrupted={name: _corrupted(name, members, levels) for name, levels in work.corrupted.items()},
    )


def _cka(layer: str, features: Sequence[Tensor]) -> float:
    try:
        return member_cka(features)
    except InputError as error:
        raise InputError(f"layer {layer!r}: {error}") from error


def _corrupted(name: str, members: Sequence[Member], levels: Sequence[FixedBatches]) -> tuple[Metrics, ...]:
    """Metrics under one corruption, by severity."""
    found = []
    for at, level in enumerate(levels):
        probs = torch.stack([member.corrupted[name][at] for member in members]).softmax(dim=2)
        found.append(diversity(probs, torch.cat([targets for _, targets in level]).cpu()))
    return tuple(found)
