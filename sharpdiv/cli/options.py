"""Types of options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

__all__ = ["RUNS", "Device", "Flat", "Json"]

RUNS = Path("runs")
"""Folder of all runs unless another is given."""

Flat = tyro.conf.arg(name="")
"""Marks a dataclass whose fields are options of the command itself."""

Device = Literal["cpu", "cuda", "mps"]


def _json_file(words: list[str]) -> str:
    """The file, whose ending promises nothing that is not written."""
    (name,) = words
    if Path(name).suffix.lower() not in {"", ".json"}:
        raise ValueError(f"JSON is all that is written; give a file that ends in .json, or - (got {name!r})")
    return name


Json = Annotated[
    str | None,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FILE",
        instance_from_str=_json_file,
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [str(value)],
    ),
    tyro.conf.arg(metavar="FILE", help="write the numbers as JSON; - for standard output"),
]
"""Where numbers are written as JSON: a file, or - for standard output."""
