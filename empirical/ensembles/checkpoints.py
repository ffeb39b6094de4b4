"""Members from files: a function that makes a network, and state dicts of its weights, one network at a time."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.errors import InputError

__all__ = ["Checkpoints", "fitting", "load_state"]

_PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_INSIDE = ("state_dict", "model")  # where training scripts, Lightning and timm put the state dict
_PREFIXES = ("model.", "module.", "_orig_mod.")  # of Lightning, DataParallel and torch.compile


class Checkpoints:
    """Networks made one at a time: each is loaded when it is asked for.

    A file holds a state dict (.pt, .pth, .bin, .ckpt, read with ``weights_only=True``, or .safetensors), or a dict with one under
    ``state_dict`` or ``model``. A common prefix of all keys, ``model.``, ``module.`` or ``_orig_mod.``, is taken off where that
    makes all of them match; otherwise keys and shapes must be the network's.

    Args:
        factory: function without arguments that makes a network; its weights are then replaced.
        paths: files of state dicts, one for each member.
        device: name of the device that networks are put on: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        InputError: if a file is given twice, or the device is not there.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv import Checkpoints
        >>> make = lambda: torch.nn.Linear(2, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / "a.pt", Path(folder) / "b.pt"]
        ...     for path in paths:
        ...         torch.save({"state_dict": make().state_dict()}, path)
        ...     [tuple(model.weight.shape) for model in Checkpoints(make, paths)]
        [(3, 2), (3, 2)]
    """

    names: tuple[str, ...]
    """paths of the files"""

    def __init__(self, factory: Callable[[], nn.Module], paths: Sequence[str | Path], *, device: str = "cpu") -> None:
        self._factory, self._paths, self._device = factory, tuple(map(Path, paths)), choose_device(device)
        self._hashes: dict[str, str] = {}
        self.names = tuple(map(str, self._paths))
        if repeated := [name for i, name in enumerate(self.names) if name in self.names[:i]]:
            raise InputError(f"{repeated[0]} is given twice")

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[nn.Module]:
        """Load one network after the other.

        Yields:
            The network of each file, on the device.

        Raises:
            InputError: if the factory makes no network, a file cannot be read, or does not fit the network.
        """
        for path in self._paths:
            yield self._load(path)

    def provenance(self) -> dict[str, Any]:
        """What makes the networks, and the files that were read so far.

        Returns:
            JSON values: ``factory``, and ``checkpoints``, each with ``file`` and ``sha256``.
        """
        name = getattr(self._factory, "__qualname__", type(self._factory).__name__)
        files = [{"file": file, "sha256": digest} for file, digest in self._hashes.items()]
        return {"factory": f"{getattr(self._factory, '__module__', '?')}:{name}", "checkpoints": files}

    def _load(self, path: Path) -> nn.Module:
        try:
            model = self._factory()
        except Exception as error:
            raise InputError(
                f"the factory failed when it was called without arguments ({type(error).__name__}: {error})"
            ) from error
        if not isinstance(model, nn.Module):
            raise InputError(f"the factory must return a torch.nn.Module, got {type(model).__name__}")
        state = load_state(path)
        with path.open("rb") as file:
            self._hashes[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
        _fill(model, state, path)
        return model.to(self._device)


def load_state(path: Path) -> dict[str, Any]:
    """State dict of a file, of which nothing is executed.

    Args:
        path: file whose ending says its format.

    Returns:
        Weights and buffers by name, on the CPU.

    Raises:
        InputError: if the file is missing, damaged, of another format, or holds no state dict; the message names it.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.checkpoints import load_state
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.pth"
        ...     torch.save({"model": {"weight": torch.ones(1)}, "epoch": 3}, path)
        ...     load_state(path)
        {'weight': tensor([1.])}
    """
    kind = path.suffix.lower()
    if kind not in {*_PICKLED, ".safetensors"}:
        raise InputError(f"{path} must be a checkpoint: {', '.join(_PICKLED)}, .safetensors; got the ending {kind!r}")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        if kind == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error
    except Exception as error:  # of the unpickler, the archive, or the objects in it
        raise InputError(
            f"{path} is not a readable file of nothing but tensors ({type(error).__name__}); save model.state_dict()"
        ) from error
    inside = [found[key] for key in _INSIDE if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)]
    state = inside[0] if inside else found
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f"{path} must hold a state dict, or a dict with one under state_dict or model; got {type(found).__name__}"
        )
    return {str(key): value for key, value in state.items()}


def _fill(model: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Put the weights into the network, if all keys and shapes are its own."""
    state = fitting(model, state, str(path))
    try:
        model.load_state_dict(dict(state))
    except Exception as error:  # of hooks and extra states, which are the network's own
        raise InputError(f"{path} does not fit the network: {error}") from error


def fitting(model: nn.Module, state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A state dict by the network's own names, whose keys and shapes are the network's.

    Args:
        model: network that it is for.
        state: weights and buffers by name, perhaps behind a prefix that all have in common.
        name: what it is called in messages.

    Returns:
        The state dict without the prefix.

    Raises:
        InputError: if it is no state dict, a key is missing or unknown, a shape differs, or a lazy layer has never run.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.checkpoints import fitting
        >>> list(fitting(torch.nn.Linear(1, 1), {"module.weight": torch.ones(1, 1), "module.bias": torch.ones(1)}, "a.pt"))
        ['weight', 'bias']
    """
    own = model.state_dict()
    if not isinstance(state, Mapping):  # of untyped callers
        raise InputError(f"{name} must be a state dict, got {type(state).__name__}: pass model.state_dict()")
    if empty := [key for key, value in state.items() if isinstance(value, Tensor) and is_lazy(value)]:
        raise InputError(f"{name} has no {empty[0]} yet: run its network on a batch first")
    state = _without_prefix(state, set(own))
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected:
        found = [f"{what} {_some(keys)}" for what, keys in (("lacks", missing), ("has", unexpected)) if keys]
        raise InputError(f"{name} does not fit the network: it {', and '.join(found)}{_not_there(unexpected)}")
    for key, value in own.items():
        if isinstance(value, Tensor) and not is_lazy(value) and getattr(state[key], "shape", None) != value.shape:
            found_shape = tuple(getattr(state[key], "shape", ()))
            raise InputError(
                f"{name} does not fit the network: {key} has shape {found_shape}, the network's {tuple(value.shape)}"
            )
    return state


def _without_prefix(state: Mapping[str, Any], own: set[str]) -> Mapping[str, Any]:
    """The state dict, without a prefix of all keys if that makes them the network's."""
    for prefix in _PREFIXES:
        if {f"{prefix}{key}" for key in own} == set(state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
    return ", ".join(keys[:2]) + more


def _not_there(unexpected: Sequence[str]) -> str:
    return ", which the network has not" if unexpected else ""
