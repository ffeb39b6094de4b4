"""Every preset of every model as a question, with few values of rho."""

from sharpdiv.explore.models import MODELS, Model, Preset
from sharpdiv.explore.question import Question

__all__ = ["PRESETS", "asked"]

PRESETS = [(model, preset) for model in MODELS.values() for preset in model.presets]


def asked(model: Model, preset: Preset, places: int = 5) -> Question:
    values = model.start() | dict(preset.values)
    low, high = preset.span
    problem = model.made(values)
    return Question(model, problem, int(values["members"]), int(values["blocks"]), low, high, places)
