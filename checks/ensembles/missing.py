"""What trains a design, and what is said where too little of it is there."""

from sharpdiv.checks.claim import Verdict
from sharpdiv.empirical.runs.config import Precision
from sharpdiv.empirical.runs.gpu_time import CARDS, hours_of
from sharpdiv.empirical.runs.plan import training_work
from sharpdiv.empirical.runs.profiles import PROFILES, Design

__all__ = ["command", "judged", "missing", "waiting"]


def judged(design: Design, blocks: int) -> bool:
    """Whether so many blocks get a verdict: all, or as many as the main job trains.

    Looking again and again until a test says yes finds effects in nothing, so a design in the making gets none.

    Args:
        design: any design.
        blocks: that are whole.

    Returns:
        Whether there is one.
    """
    return blocks in {
        len(design.blocks),
        *(len(quick.blocks) for quick in PROFILES["quick"] if quick.name == design.name),
    }


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
    works = training_work(design.all_runs)
    of_cards: list[str] = []
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        each = " or ".join(f"{hours_of(works, card, precision):.0f} of an {card.name}" for card in CARDS)
        of_cards.append(f"{each} in {precision}")
    return (
        f"{first} {len(design.all_runs)} ensembles of ResNet-18 take, in GPU hours of training, {', '.join(of_cards)}: computed "
        "from operations and launches, nobody measured them here; measuring comes on top."
    )


def waiting(design: Design, blocks: int) -> dict[Verdict, str]:
    """What an open verdict waits for, in a few words.

    Args:
        design: what is to be trained.
        blocks: how many of its blocks are measured.

    Returns:
        For ``Finding.reasons``.
    """
    return {
        Verdict.INCONCLUSIVE: f"{blocks} of {len(design.blocks)} blocks of seeds are there, no verdict before all are"
    }
