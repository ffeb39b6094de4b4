"""Files of predictions that any framework can write: whole ensembles, or a file for each member."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.devices import float64
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import normalized
from sharpdiv.empirical.predictions.readers import UNNAMED, read_content
from sharpdiv.empirical.predictions.tables import whole

__all__ = ["StoredEnsemble", "load_ensembles", "load_predictions"]

_ENSEMBLE, _MEMBER = "(members, samples, classes)", "(samples, classes)"


@dataclass(frozen=True)
class StoredEnsemble:
    """Predictions of one ensemble.

    Example: see ``load_ensembles``.
    """

    paths: tuple[Path, ...]
    """its file, or the files of its members"""
    probs: Float[Tensor, "members samples classes"]
    """probabilities in float64"""
    labels: Int[Tensor, " labels"]
    """true classes, counted from 0"""


@dataclass(frozen=True)
class _File:
    """What one file holds."""

    path: Path
    probs: Float[Tensor, "*members samples classes"]
    labels: Tensor | None
    classes: tuple[str, ...]


def load_predictions(
    paths: str | Path | Sequence[str | Path], *, logits: bool = False, labels: str | Path | None = None
) -> tuple[Float[Tensor, "members samples classes"], Int[Tensor, " labels"]]:
    """Read the predictions of one ensemble and their labels from files written by any framework.

    A file holds a whole ensemble ``(members, samples, classes)``, or several hold ``(samples, classes)`` of a member each: .npz
    (arrays ``probs`` or ``logits``, and ``labels``), .npy, .csv and .parquet (a column for each class, optionally ``label``),
    .pt (a tensor, or a dict with the same names).

    Args:
        paths: path of the file, or of each member's.
        logits: whether numbers are logits; they are also where a file calls them so and has no ``probs``.
        labels: file of the labels ``(samples,)`` in any of these formats, or .txt with one in each line.

    Returns:
        Probabilities and labels as ``diversity`` takes them.

    Raises:
        InputError: if a file cannot be read, lacks an array, a numeric type or a shape, or does not fit the others; the message
            names it.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sharpdiv import load_predictions
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder) / "mine.npz", probs=np.full((2, 3, 4), 0.25), labels=np.zeros(3, int))
        ...     probs, labels = load_predictions(Path(folder) / "mine.npz")
        >>> tuple(probs.shape), labels
        ((2, 3, 4), tensor([0, 0, 0]))
    """
    each = [paths] if isinstance(paths, str | Path) else paths
    ensembles = load_ensembles(list(map(Path, each)), logits=logits, labels=Path(labels) if labels else None)
    if len(ensembles) > 1:
        raise InputError(
            f"{ensembles[1].paths[0]} holds another ensemble than {ensembles[0].paths[0]}; give one of them"
        )
    return ensembles[0].probs, ensembles[0].labels


def load_ensembles(
    paths: Sequence[Path], *, logits: bool = False, labels: Path | None = None
) -> tuple[StoredEnsemble, ...]:
    """Read files that each hold an ensemble, or together hold the members of one; see ``load_predictions``.

    Args:
        paths: paths of the files.
        logits: whether numbers are logits.
        labels: file of the labels of all of them.

    Returns:
        The ensembles, in the order of their files.

    Raises:
        InputError: as ``load_predictions``.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from sharpdiv.empirical.predictions.files import load_ensembles
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     members = [Path(folder) / "first.npy", Path(folder) / "second.npy"]
        ...     for path in members:
        ...         np.save(path, np.full((3, 4), 0.25))
        ...     np.save(Path(folder) / "labels.npy", np.zeros(3, int))
        ...     (ensemble,) = load_ensembles(members, labels=Path(folder) / "labels.npy")
        >>> tuple(ensemble.probs.shape)
        (2, 3, 4)
    """
    if not paths:
        raise InputError("there are no predictions: give at least one file")
    if repeated := [path for i, path in enumerate(paths) if path in paths[:i]]:
        raise InputError(f"{repeated[0]} is given twice")
    files = [_read(path, logits) for path in paths]
    own = [(labels, _labels_of(labels))] if labels else []
    ensembles = [file for file in files if file.probs.ndim == 3]
    if len(ensembles) == len(files):
        return tuple(StoredEnsemble((f.path,), f.probs, _agreed(f.path, [*own, (f.path, f.labels)])) for f in files)
    if ensembles:
        (member, *_) = (file for file in files if file.probs.ndim == 2)
        raise InputError(
            f"{ensembles[0].path} holds an ensemble {_ENSEMBLE} and {member.path} a member {_MEMBER}; give one kind"
        )
    probs = _members(files)
    return (StoredEnsemble(tuple(paths), probs, _agreed(files[0].path, [*own, *((f.path, f.labels) for f in files)])),)


def _read(path: Path, logits: bool) -> _File:
    """Probabilities of a file in double precision, checked but for their number."""
    arrays, classes = read_content(path)
    name = next((n for n in (("logits", UNNAMED) if logits else ("probs", "logits", UNNAMED)) if n in arrays), None)
    if name is None and logits and "probs" in arrays:
        raise InputError(f"{path} calls its numbers probs; leave --logits out, or call them logits")
    if name is None:
        raise InputError(f"{path} has no array {'logits' if logits else 'probs'!r} of shape {_ENSEMBLE} or {_MEMBER}")
    values, title = arrays[name], f"{path}: {name or ('logits' if logits else 'probs')}"
    if not values.is_floating_point():
        raise InputError(f"{title} must be floating, got {values.dtype}")
    if values.ndim not in {2, 3} or not values.numel() or values.shape[-1] < 2:
        raise InputError(f"{title} must have shape {_ENSEMBLE}, or {_MEMBER} of one member, got {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise InputError(f"{title} must be finite, got NaN or infinity")
    return _File(path, _probabilities(path, values, logits or name == "logits"), arrays.get("labels"), classes)


def _probabilities(path: Path, values: Tensor, logits: bool) -> Tensor:
    if logits:
        return float64(values).softmax(dim=-1)
    if values.min() < 0:
        raise InputError(f"{path}: probs must be non-negative; if these are logits, say --logits")
    try:
        return normalized(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _members(files: Sequence[_File]) -> Float[Tensor, "members samples classes"]:
    """Files of members as one ensemble."""
    first = files[0]
    if len(files) == 1:
        raise InputError(
            f"{first.path} holds a single member {_MEMBER} = {tuple(first.probs.shape)}; give a file of each member, at "
            f"least 2, or one of {_ENSEMBLE}"
        )
    for file in files:
        if file.probs.shape != first.probs.shape:
            raise InputError(
                f"{file.path} holds {_MEMBER} = {tuple(file.probs.shape)} and {first.path} {tuple(first.probs.shape)}; "
                "members must be of the same samples and classes"
            )
    named = [file for file in files if file.classes]
    for file in named:
        if file.classes != named[0].classes:
            this, other = next((a, b) for a, b in zip(file.classes, named[0].classes, strict=True) if a != b)
            raise InputError(
                f"{file.path} has class {this!r} where {named[0].path} has {other!r}; write the columns of all members in one "
                "order and by the same names"
            )
    return torch.stack([file.probs for file in files])


def _labels_of(path: Path) -> Tensor:
    """Labels in a file of their own: called so, or all there is."""
    arrays = read_content(path).arrays
    found = arrays.get("labels", arrays.get(UNNAMED))
    if found is None:
        raise InputError(f"{path} has no array 'labels' of shape (samples,)")
    if "labels" not in arrays and path.suffix.lower() in {".csv", ".parquet"}:
        if found.shape[1] != 1:
            raise InputError(f"{path} has {found.shape[1]} columns and none called label; expected labels")
        return torch.from_numpy(whole(path, "label", found[:, 0].numpy()))
    return found


def _agreed(path: Path, stored: Sequence[tuple[Path, Tensor | None]]) -> Int[Tensor, " labels"]:
    """The labels of some files, of which those that have any have the same."""
    having = [(other, _checked(other, labels)) for other, labels in stored if labels is not None]
    if not having:
        raise InputError(
            f"{path} has no array 'labels' of shape (samples,) (a table: no column 'label'); "
            "add it, or give a file of labels with --labels"
        )
    first, labels = having[0]
    for other, theirs in having[1:]:
        if not torch.equal(labels, theirs):
            raise InputError(f"{other} has other labels than {first}")
    return labels


def _checked(path: Path, labels: Tensor) -> Int[Tensor, " labels"]:
    if labels.ndim != 1:
        raise InputError(f"{path}: labels must have shape (samples,), got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"{path}: labels must be integers, got {labels.dtype}")
    return labels.long()
