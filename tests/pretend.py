"""A device that is none: tensors that say they are on ``pretend:0`` and are computed on the CPU, watched as they are.

What a GPU refuses is refused: tensors of two devices in one operation (CPU numbers without axes excepted), indices on the device
into a tensor of the CPU, a random generator of another device; and what mps refuses if it is to be one: float64, and copies that
do not block, which may read memory that is already somebody else's. Counted are the operations, and every wait of the host for the
device by line of ours: numbers that are read, results whose size depends on content, copies that block.

Bits are the CPU's, as it computes everything: what differs from a run there is that some tensor was somewhere else.
"""

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from sharpdiv.empirical import devices

__all__ = ["DEVICE", "DeviceError", "Kind", "Watch", "pretended"]

Kind = Literal["cuda", "mps"]

_WAITING = frozenset(
    {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "bincount", "linalg_eigh"}
)
"""Operations whose result the host reads, or whose size it has to know."""
_OF_TWO_DEVICES = frozenset({"copy_", "_to_copy", "index", "index_put_", "_index_put_impl_"})
"""Operations that take tensors of two devices: copies, and indices on the CPU."""
_OURS = ("/sharpdiv/", "/empirical/", "/checks/", "/theory/")


class DeviceError(RuntimeError):
    """Something that a device would refuse."""


class OnDevice(Tensor):
    """A tensor of the pretended device around one of the CPU."""

    inner: Tensor  # type: ignore[assignment]  # of the same name as a product, which nothing here takes
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnDevice":
        like: Any = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        self: OnDevice = Tensor._make_wrapper_subclass(cls, inner.shape, device=DEVICE, **like)
        self.inner = inner
        return self

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _watch.__torch_dispatch__(function, types, args, kwargs)

    def tolist(self) -> Any:
        """Refused for subclasses.

        Returns:
            The values.
        """
        return self.detach().cpu().tolist()


class _Generator(torch.Generator):
    """One that says that it is on the device, if it was made for it."""

    place: torch.device

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        self: _Generator = super().__new__(cls, "cpu")  # type: ignore[call-arg]  # as its stub has no __new__
        self.place = torch.device(device)
        if self.place.type == DEVICE.type:
            _generators[self._cdata] = self  # type: ignore[attr-defined]
        return self

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # read-only, as it is in fact
        return self.place


@dataclass
class _Call:
    """One operation as it arrives below autograd."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str = field(init=False)
    tensors: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.function._schema.name.removeprefix("aten::")
        self.tensors = [leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    @property
    def target(self) -> torch.device | None:
        """Where the result is to be, if that is said."""
        device = self.kwargs.get("device")
        return None if device is None else torch.device(device)

    @property
    def arrives(self) -> bool:
        """Whether the result is to be on the device."""
        if self.target is not None:
            return self.target.type == DEVICE.type
        return self.name == "copy_" and isinstance(self.args[0], OnDevice)

    @property
    def leaves(self) -> bool:
        """Whether the result is to be on the CPU."""
        if self.target is not None:
            return self.target.type == "cpu"
        return self.name == "copy_" and not isinstance(self.args[0], OnDevice)

    @property
    def concerns_device(self) -> bool:
        return any(isinstance(t, OnDevice) for t in self.tensors) or self.arrives

    @property
    def copies(self) -> bool:
        """Whether content with axes goes from the CPU to the device."""
        return (
            self.arrives
            and self.name in {"copy_", "_to_copy"}
            and any(t.ndim and not isinstance(t, OnDevice) for t in self.tensors)
        )

    @property
    def blocks_not(self) -> bool:
        place = {"copy_": 2}.get(self.name, 9)
        return bool(self.kwargs.get("non_blocking") or (len(self.args) > place and self.args[place]))

    @property
    def waits(self) -> bool:
        """Whether the host waits for the device."""
        masks = any(t.dtype in {torch.bool, torch.uint8} for t in self.tensors[1:])
        return (
            self.name in _WAITING
            or (self.name.startswith("index") and self.name != "index_put_" and masks)
            or (self.leaves and any(isinstance(t, OnDevice) for t in self.tensors))
            or (self.copies and not self.blocks_not)
        )


class Watch(TorchDispatchMode):
    """Sees every operation, refuses what the device would, and computes the rest on the CPU.

    Args:
        kind: device that it is to be like.
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind, self.operations, self.waits = kind, 0, Counter[str]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = _Call(function, args, kwargs or {})
        if not call.concerns_device:
            return function(*args, **call.kwargs)
        if torch.is_inference_mode_enabled():  # there composite operations arrive whole
            with self:
                if (found := function.decompose(*args, **call.kwargs)) is not NotImplemented:
                    return found
        self.operations += 1
        self._refuse(call)
        if call.waits:
            self.waits[f"{call.name} at {_line()}"] += 1
        return self._computed(call)

    def _refuse(self, call: _Call) -> None:
        if any(t.ndim and not isinstance(t, OnDevice) for t in call.tensors) and call.name not in _OF_TWO_DEVICES:
            raise DeviceError(f"{call.name} of tensors on two devices at {_line()}")
        if call.name.startswith("index") and not isinstance(call.args[0], OnDevice):
            raise DeviceError(f"{call.name} of a tensor on the CPU by an index on the device at {_line()}")
        # Operations get generators in a new wrapper around the same one.
        generators = [g for g in tree_leaves((call.args, call.kwargs)) if isinstance(g, torch._C.Generator)]
        if any(g._cdata not in _generators for g in generators):  # type: ignore[attr-defined]
            raise DeviceError(f"{call.name} with a generator of another device at {_line()}")
        if self.kind == "mps" and call.copies and call.blocks_not:
            raise DeviceError(f"{call.name} that does not block, from memory that may be gone, at {_line()}")

    def _computed(self, call: _Call) -> Any:
        args, kwargs = tree_map(lambda v: v.inner if isinstance(v, OnDevice) else v, (call.args, call.kwargs))
        if call.target is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        result = call.function(*args, **kwargs)
        returned = call.function._schema.returns
        if len(returned) == 1 and returned[0].alias_info is not None and returned[0].alias_info.is_write:
            if (
                torch.Tag.inplace_view in call.function.tags
            ):  # unsqueeze_ and the like: the outer tensor has a shape of its own
                _reshape(call)
            return call.args[0]
        if call.leaves:
            return result
        found = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        if self.kind == "mps" and any(value.dtype == torch.float64 for value in found):
            raise DeviceError(f"{call.name} in float64 on a device that has none at {_line()}")
        return tree_map(lambda value: OnDevice(value) if isinstance(value, Tensor) else value, result)


def _reshape(call: _Call) -> None:
    """Do to the outer tensor's shape what was done to the inner one's."""
    before = torch._C._meta_in_tls_dispatch_include()
    with no_dispatch():
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            call.function(*call.args, **call.kwargs)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(before)


def _line() -> str:
    """The line of ours that an operation comes from."""
    frames = [f for f in traceback.extract_stack() if any(part in f.filename for part in _OURS)]
    ours = [f for f in frames if "/tests/" not in f.filename and "/site-packages/" not in f.filename]
    return f"{ours[-1].filename.rsplit('/', 1)[1]}:{ours[-1].lineno}" if ours else "a test"


class _Module(_DummyBackendModule):
    """What autocast asks of ``torch.pretend``."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend(rename="pretend", backend_module=_Module())
DEVICE = torch.device("pretend", 0)
"""The device; made once in a process, used inside ``pretended`` alone."""
_watch = Watch("cuda")
_generators: dict[int, _Generator] = {}


def _empty_strided(size: Any, stride: Any, **options: Any) -> OnDevice:
    return OnDevice(torch.empty_strided(size, stride, dtype=options["dtype"]))


def _dispatched(operation: Any, *args: Any, **kwargs: Any) -> Any:
    return _watch.__torch_dispatch__(operation, (), args, kwargs)


_library, _autocast = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
_autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")  # autocast runs, and casts nothing
_library.impl("empty_strided", _empty_strided, "PrivateUse1")
for _name in ("copy_", "_to_copy"):
    _library.impl(_name, partial(_dispatched, getattr(torch.ops.aten, _name).default), "PrivateUse1")


@contextmanager
def pretended(kind: Kind = "cuda") -> Iterator[Watch]:
    """Make the device usable in the place of another, and watch it.

    Args:
        kind: device that it is to be like.

    Yields:
        What it sees.
    """
    global _watch
    _watch = Watch(kind)
    # Backward passes in this thread, whose frames are lines of ours.
    in_one_thread = torch.autograd.set_multithreading_enabled(False)
    with pytest.MonkeyPatch.context() as patch, in_one_thread, _watch:
        patch.setattr(torch, "Generator", _Generator)
        names = "NON_BLOCKING" if kind == "cuda" else "WITHOUT_FLOAT64"
        patch.setattr(devices, names, getattr(devices, names) | {DEVICE.type})
        yield _watch
