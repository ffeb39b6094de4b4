"""What is taken away gives the same curves again, to the last bit."""

import csv
import io
import shlex

import numpy as np
import pytest

from sharpdiv.cli import main
from sharpdiv.explore.models import LINEAR, Model, Preset
from sharpdiv.explore.question import METHODS, Question, answer, points
from sharpdiv.explore.taking_away import commands, python_code, table
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.setting import Setting
from tests.cli.calling import points as printed
from tests.explore.questions import PRESETS, asked

CASES = [pytest.param(*case, marks=[pytest.mark.slow] if case[0].variant == ("diagonal",) else []) for case in PRESETS]
IDS = [f"{model.title}: {preset.title}" for model, preset in PRESETS]
ODD = Question(problem=Setting(n=20, d=30, teacher_norm=2.5, label_noise=0.1, learning_rate=1 / 3), members=5, blocks=4)


@pytest.mark.parametrize(("model", "preset"), CASES, ids=IDS)
def test_python(model: Model, preset: Preset, capsys: pytest.CaptureFixture[str]) -> None:
    _same_curves(asked(model, preset))
    assert capsys.readouterr().out


def test_python_of_an_odd_setting(capsys: pytest.CaptureFixture[str]) -> None:
    _same_curves(ODD)


def _same_curves(question: Question) -> None:
    names: dict[str, object] = {}
    exec(compile(python_code(question), "copied", "exec"), names)  # noqa: S102
    assert {method: names[method] for method in METHODS} == answer(question)


@pytest.mark.parametrize(("model", "preset"), CASES, ids=IDS)
def test_commands_print_what_is_read_off(model: Model, preset: Preset, capsys: pytest.CaptureFixture[str]) -> None:
    question = asked(model, preset)
    read = points(question, 2)
    for method, command in commands(question, float(question.rho[2])).items():
        (point,) = printed(capsys, *shlex.split(command)[1:])
        assert _rounded(point) == _rounded(read[method])


def _rounded(point: dict[str, object]) -> dict[str, object]:
    """To the digits of a table, ten times finer."""
    return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in point.items()}


def test_commands_of_an_odd_setting_run(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(ODD, 0.1).values():
        assert main.run(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("question", [Question(places=7), ODD, asked(*PRESETS[-1])], ids=["linear", "odd", "two-layer"])
def test_the_table_has_every_digit(question: Question) -> None:
    rows = list(csv.DictReader(io.StringIO(table(question))))
    assert len(rows) == 2 * question.places
    for method, curve in answer(question).items():
        mine = [row for row in rows if row["method"] == method]
        for name, column in curve.columns().items():
            if column.dtype.kind == "b":
                assert [row[name] == "True" for row in mine] == column.tolist()
            else:
                read = np.array([float(row[name] or "nan") for row in mine])
                np.testing.assert_array_equal(read, np.where(np.isfinite(column), column, np.nan))


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.1), (0.1, 0.1), (-0.1, 0.1), (float("nan"), 0.1)])
def test_ranges_that_are_none(low: float, high: float) -> None:
    with pytest.raises(DomainError, match="range of rho"):
        Question(lowest=low, highest=high)


def test_answers_are_kept() -> None:
    assert answer(Question(LINEAR)) is answer(Question(LINEAR))
