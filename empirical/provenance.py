"""What a number may depend on besides its configuration: this code, the libraries, and the processor."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from sharpdiv import __version__
from sharpdiv.empirical.store import digest, load_json
from sharpdiv.paths import CHECKOUT, RESULTS

__all__ = ["PROTOCOL", "commit", "protocol_name", "provenance"]

PROTOCOL = RESULTS / "protocol.json"
"""What was fixed before the seeds that decide were trained."""


def provenance(device: torch.device, *, tf32: bool = False) -> dict[str, Any]:
    """Versions of code and libraries, and the device and processor of a computation.

    Networks are chaotic: another processor, with other instructions, rounds otherwise and trains other networks from the same seed.

    Args:
        device: device of the computation.
        tf32: whether float32 factors were rounded to TF32, which CUDA alone can do.

    Returns:
        JSON values; ``commit`` is None outside a checkout, ``protocol`` where there is none. Of CUDA also its version and cuDNN's,
        what the GPU is capable of, and how float32 numbers were multiplied.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.provenance import provenance
        >>> found = provenance(torch.device("cpu"))
        >>> found["device"], found["torch"] == torch.__version__
        ('cpu', True)
    """
    of_cuda = _cuda(device, tf32) if device.type == "cuda" else {}
    return of_cuda | {
        "device": str(device),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "sharpdiv": __version__,
        "commit": commit(),
        "protocol": protocol_name(),
    }


def _cuda(device: torch.device, tf32: bool) -> dict[str, Any]:
    """What decides about bits on a GPU besides its name."""
    return {
        "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "float32": "tf32" if tf32 else "ieee",
    }


@cache
def protocol_name() -> str | None:
    """Name of the protocol that this code comes with.

    Returns:
        A hash of its content; None if there is none.

    Examples:
        >>> from sharpdiv.empirical.provenance import PROTOCOL, protocol_name
        >>> from sharpdiv.empirical.store import digest, load_json
        >>> protocol_name() == digest(load_json(PROTOCOL))
        True
    """
    return digest(load_json(PROTOCOL)) if PROTOCOL.exists() else None


@cache
def commit() -> str | None:
    """Commit of the checkout this code is in.

    Returns:
        Its hash, with ``-dirty`` behind it if tracked files differ from it; None if there is no checkout or no git.

    Examples:
        >>> from sharpdiv.empirical.provenance import commit
        >>> found = commit()
        >>> found is None or len(found.removesuffix("-dirty")) == 40
        True
    """
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return None
    try:
        found = _git(CHECKOUT, "rev-parse", "HEAD")
        return f"{found}-dirty" if _git(CHECKOUT, "status", "--porcelain", "--untracked-files=no") else found
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", os.fspath(root), *words]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout.strip()  # noqa: S603


@cache
def _cpu() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
