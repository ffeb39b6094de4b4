"""Files of a run: written atomically, checksummed, never pickled.

A file is either absent or complete: it is written beside its place and renamed. Every file carries a SHA-256 of its
content, so damage is noticed when it is read and the message names the file.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sharpdiv.empirical.atomic import write_atomically
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.hashing import digest

__all__ = ["digest", "load_json", "load_tensors", "save_json", "save_tensors", "write_atomically"]


def save_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object with its checksum under ``sha256``.

    Args:
        path: path of the file.
        value: the object, without a key ``sha256``.

    Example: see ``load_json``.
    """
    text = json.dumps({**value, "sha256": digest(value)}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    write_atomically(path, text.encode() + b"\n")


def load_json(path: Path) -> dict[str, Any]:
    """Read what ``save_json`` wrote.

    Args:
        path: path of the file.

    Returns:
        The object without its checksum.

    Raises:
        StoreError: if the file is missing, is not such an object, or its content does not match its checksum.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.store import load_json, save_json
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_json(Path(folder) / "a.json", {"rho": 0.1})
        ...     load_json(Path(folder) / "a.json")
        {'rho': 0.1}
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise StoreError(_damage(path, f"it holds {type(value).__name__} where an object was expected"))
        checksum = value.pop("sha256")
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path} does not exist") from None
    except KeyError:
        raise StoreError(_damage(path, "it has no checksum")) from None
    except (ValueError, OSError, RecursionError) as error:
        raise StoreError(_damage(path, error)) from error
    if digest(value) != checksum:
        raise StoreError(_damage(path, "its content does not match its checksum"))
    return value


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write named tensors (moved to the CPU) and text metadata as safetensors, with a checksum of both.

    Args:
        path: path of the file.
        tensors: tensors by name.
        metadata: texts by name, none of them ``sha256``.

    Example: see ``load_tensors``.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = metadata or {}
    # One key: safetensors writes several in random order, and equal content should be equal bytes.
    text = json.dumps({**metadata, "sha256": _tensor_digest(tensors, metadata)}, sort_keys=True)
    write_atomically(path, safetensors.torch.save(tensors, {"sharpdiv": text}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what ``save_tensors`` wrote.

    Args:
        path: path of the file.

    Returns:
        Tensors on the CPU, and the metadata with the checksum under ``sha256``.

    Raises:
        StoreError: if the file is missing, damaged, or does not match its checksum.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv.empirical.store import load_tensors, save_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_tensors(Path(folder) / "a.safetensors", {"weights": torch.ones(2)}, {"run": "first"})
        ...     tensors, metadata = load_tensors(Path(folder) / "a.safetensors")
        >>> tensors, metadata["run"]
        ({'weights': tensor([1., 1.])}, 'first')
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("sharpdiv", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise StoreError(_damage(path, error)) from error
    stated = {name: text for name, text in metadata.items() if name != "sha256"}
    if metadata.get("sha256") != _tensor_digest(tensors, stated):
        raise StoreError(_damage(path, "its content does not match its checksum"))
    return tensors, metadata


def _tensor_digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    content = hashlib.sha256(digest(metadata).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def _damage(path: Path, reason: object) -> str:
    return f"{path} is damaged ({reason}); delete this file and run again, everything else is kept"
