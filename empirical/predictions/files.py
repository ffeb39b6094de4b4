"""Files of predictions that any framework can write."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.errors import InputError

__all__ = ["load_predictions"]


def load_predictions(path: Path) -> tuple[Float[Tensor, "members samples classes"], Int[Tensor, " labels"]]:
    """Read ``probs`` and ``labels`` from an .npz file written by any framework.

    Args:
        path: path of the file, with floating ``probs (members, samples, classes)`` and whole ``labels (samples,)``.

    Returns:
        Probabilities and labels as ``diversity`` takes them.

    Raises:
        InputError: if the file cannot be read, or lacks an array, a numeric type or a shape; the message names it.

    Example:
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
    try:
        with zipfile.ZipFile(path) as archive:
            stored = set(archive.namelist())
            arrays = {name: _array(archive, name) for name in ("probs", "labels") if f"{name}.npy" in stored}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    # A damaged archive fails in many ways: bad zip, bad checksum, short read, object arrays, a plain .npy.
    except Exception as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error})") from error
    for name, axes, kinds in (("probs", "(members, samples, classes)", "f"), ("labels", "(samples,)", "iu")):
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r} of shape {axes}")
        array = arrays[name]
        if array.dtype.kind not in kinds:
            raise InputError(f"{path}: {name} must be {'floating' if kinds == 'f' else 'integer'}, got {array.dtype}")
        if array.ndim != len(axes.split(", ")):
            raise InputError(f"{path}: {name} must have shape {axes}, got {array.shape}")
    with np.errstate(over="ignore"):  # of an extended precision; diversity refuses the infinity
        probs = torch.as_tensor(arrays["probs"].astype(np.float64))
    return probs, torch.as_tensor(arrays["labels"].astype(np.int64))


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array of an archive. Unlike ``np.load``, read to the member's end, where its checksum is compared."""
    content = io.BytesIO(archive.read(f"{name}.npy"))
    array = np.lib.format.read_array(content, allow_pickle=False)
    if content.read(1):
        raise ValueError(f"{name} has data behind its end")
    return array
