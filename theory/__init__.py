"""Closed forms of the sharpness-diversity theory, exact arithmetic, and the Monte Carlo referee.

Everything is a functional of a spectral measure: optimizers are polynomial filters of W = A'A, and diversity, sharpness
and errors are integrals of powers of the filter.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
