"""What trains a design, and what is said where too little of it is there."""

from sharpdiv.empirical.runs.plan import gpu_hours
from sharpdiv.empirical.runs.profiles import PROFILES, Design

__all__ = ["command", "missing"]

_GPU_RATE = 20e12
"""Operations a second, assumed: a GPU in half precision that trains small images."""


def command(design: Design) -> str:
    """What trains and measures what is still missing of a design.

    Returns:
        A command line.
    """
    if design in PROFILES["paper"]:
        return f"sharpdiv reproduce --profile paper --device cuda --data {design.data}"
    return f"sharpdiv reproduce --profile cpu --data {design.data} --have results"


def missing(design: Design, blocks: int) -> str:
    """Why there is no verdict on a design yet.

    Args:
        design: what is to be trained.
        blocks: how many of its blocks are measured.

    Returns:
        What is missing and the command that trains it, with an estimate where it takes GPUs.
    """
    first = f"{blocks} of {len(design.blocks)} blocks are measured, at least 2 are needed; {command(design)} trains the rest."
    if design not in PROFILES["paper"]:
        return first
    hours = gpu_hours(design.all_runs, _GPU_RATE)
    return (
        f"{first} {len(design.all_runs)} ensembles of ResNet-18 take {hours:.0f} GPU hours of training at an assumed "
        f"{_GPU_RATE / 1e12:g} TFLOP/s that nobody measured here; measuring comes on top."
    )
