"""Sharpness and diversity of flat ensembles: closed forms, training and measurement in PyTorch, and every claim as a check.

Names below load what they need when they are first used, so that theory answers without PyTorch.
"""

from pathlib import Path

import lazy_loader

__version__ = "0.2.0"

# A checkout without symbolic links has the rooms beside this folder.
if not (Path(__file__).parent / "theory" / "__init__.py").exists():
    __path__.append(str(Path(__file__).parents[1]))

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
