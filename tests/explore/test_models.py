"""Dials and presets fit the theory that they turn."""

import math
from dataclasses import fields

import pytest

from sharpdiv.explore.models import LINEAR, MODELS, Model, Preset
from sharpdiv.explore.question import answer
from sharpdiv.theory.setting import Setting
from tests.explore.questions import PRESETS, asked

IDS = [f"{model.title}: {preset.title}" for model, preset in PRESETS]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_dials_are_fields_and_start_where_the_theory_does(model: Model) -> None:
    names = {item.name for item in fields(model.problem())}
    assert {dial.name for dial in model.dials} - {"members", "blocks", "teacher"} <= names
    assert model.made(model.start()).n == model.problem().n
    for dial in model.dials:
        assert list(dial.stops) == sorted(set(dial.stops))
        assert model.start()[dial.name] in dial.stops
    assert LINEAR.made(LINEAR.start()) == Setting()


@pytest.mark.parametrize(("model", "preset"), PRESETS, ids=IDS)
def test_presets_stop_where_dials_do(model: Model, preset: Preset) -> None:
    stops = {dial.name: dial.stops for dial in model.dials}
    assert all(value in stops[name] for name, value in preset.values.items())
    low, high = preset.span
    assert low <= preset.rho <= high
    assert all(low <= start < end <= high for start, end in preset.drawn.values())


@pytest.mark.parametrize(
    ("model", "preset"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[0].variant == ("diagonal",) else []) for case in PRESETS],
    ids=IDS,
)
def test_presets_have_curves(model: Model, preset: Preset) -> None:
    for curve in answer(asked(model, preset)).values():
        assert curve.columns()["diversity"].size == 5
        assert model.flatness in curve.columns()


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_the_teacher_is_in_units_of_its_usual_norm(scale: float) -> None:
    usual = Setting(d=100, init_variance=0.5).omega
    made = LINEAR.made(LINEAR.start() | {"d": 100, "init_variance": 0.5, "teacher": scale})
    assert isinstance(made, Setting)
    assert math.isclose(made.omega, scale * usual)
