"""Memory that stays with the process: glibc would give every large block back to the system and take it again.

A training step allocates and frees activations of megabytes. By default glibc maps each such block anew, and the system hands out
pages of zeros one by one, which takes longer than the arithmetic on them. Kept, the peak is the same, and so is every bit.
"""

import ctypes
import sys

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Names of mallopt's options in malloc.h."""
_NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Have large blocks come from the heap, which is not given back until the process ends.

    Returns:
        Whether it is so now; False on systems without glibc, where nothing is changed.

    Examples:
        >>> from sharpdiv.empirical.engines.allocator import keep_memory
        >>> keep_memory() in (True, False)
        True
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # another C library, such as musl, has its own allocator
        return False
    return bool(library.mallopt(_MMAP_MAX, 0)) and bool(library.mallopt(_TRIM_THRESHOLD, _NEVER))
