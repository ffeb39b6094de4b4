"""Configurations as files: every field comes back, and what is no configuration is refused."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs.config import RunConfig, read_fields, write_config
from tests.laws import Mutation, law

options = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["sam", "sharpbalance"]),
        "rho": st.floats(1e-3, 10),
        "adaptive": st.booleans(),
        "m": st.none() | st.integers(2, 64),
        "seeds": st.lists(st.integers(0, 99), min_size=2, max_size=4, unique=True).map(tuple),
        "train_samples": st.none() | st.integers(2, 1000),
        "blocks": st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
        "clip_norm": st.none() | st.floats(0.1, 10),
        "precision": st.sampled_from(["float32", "bfloat16"]),
        "augment": st.sampled_from(["none", "flip", "crop-flip"]),
    }
)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("configurations")


FOLDER = Path()
SMALL = RunConfig("sgd", seeds=(1, 2), epochs=4, switch_epoch=2)


@law(
    Mutation("none left out", "sharpdiv.empirical.runs.config._NONE", lambda _: "None"),
    examples=40,
    fields=options,
    kind=st.sampled_from(["toml", "json"]),
)
def test_every_field_comes_back_from_a_file(fields: dict[str, Any], kind: str) -> None:
    path, config = FOLDER / f"run.{kind}", RunConfig(**fields)
    write_config(path, config)
    assert '"None"' not in path.read_text()
    assert RunConfig.from_json(read_fields(path)) == config  # half of the epochs again, where that was not given


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.yaml", "rho: 1", r"\.toml or \.json"),
        ("run.toml", "rho = = 1", "is not TOML"),
        ("run.json", "{", "is not JSON"),
        ("run.json", "[1]", "must hold an object"),
        ("run.toml", "colour = 1", "unknown fields colour"),
        ("run.toml", 'epochs = "many"', r"run\.toml: epochs must be a whole number, got 'many'"),
        ("run.toml", "epochs = true", r"run\.toml: epochs must be a whole number, got True"),
        ("run.json", '{"rho": "0.1"}', r"run\.json: rho must be a number, got '0.1'"),
        ("run.json", '{"seeds": [1, 2.5]}', "seeds must be a list, each a whole number"),
        ("run.json", '{"seeds": 3}', "seeds must be a list, each a whole number, got 3"),
        ("run.toml", 'm = "all"', 'm must be a whole number or "none", got'),
        ("run.toml", "compile = 1", "compile must be true or false, got 1"),
        ("run.toml", 'rule = "own"', "rule must be one of paper, code, .*; got|rule must be one of paper"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_fields(tmp_path / name)


def test_what_follows_from_other_options_is_not_fixed(tmp_path: Path) -> None:
    """Half of the epochs stays half of them; what was given stays as it was given."""
    for switch, expected in ((None, 100), (30, 30)):
        write_config(tmp_path / "run.toml", RunConfig("sgd", epochs=60, switch_epoch=switch))
        fields = read_fields(tmp_path / "run.toml") | {"epochs": 200}
        assert RunConfig(**fields | {n: tuple(fields[n]) for n in ("seeds", "blocks")}).switch == expected


def test_a_file_of_another_kind_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.toml or \.json"):
        write_config(tmp_path / "run.yaml", RunConfig("sgd"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.text(max_size=60)
    | st.dictionaries(st.sampled_from(["rho", "seeds", "m", "x"]), st.none() | st.booleans()).map(json.dumps)
)
def test_malformed_files_give_a_typed_error_or_fields(tmp_path: Path, content: str) -> None:
    for kind in ("toml", "json"):
        path = tmp_path / f"run.{kind}"
        path.write_text(content, encoding="utf-8", errors="replace", newline="")
        try:
            fields: dict[str, Any] = read_fields(path)
        except InputError:
            continue
        assert set(fields) <= set(RunConfig.__dataclass_fields__)


@pytest.mark.parametrize("epochs", [10, 20, 40])
def test_one_cycle_is_pytorchs(epochs: int) -> None:
    """Against the scheduler itself, whose cycle over k steps has its peak one step early: within the change of three steps."""
    batches, rate = 100, 0.1
    steps = epochs * batches
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, cycle_momentum=False)
    config = RunConfig("sgd", epochs=epochs, learning_rate=rate, schedule="one-cycle")
    ours, theirs = [], []
    for step in range(steps):
        ours.append(config.learning_rate_at(step / batches))
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    # The steepest part of either cosine changes by pi / 2 of its height over its length.
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 3 * rate * math.pi / 2 / (0.3 * steps)
    assert max(ours) == pytest.approx(rate)
    assert ours[0] == pytest.approx(rate / 25)
    assert config.learning_rate_at(float(epochs)) == pytest.approx(rate / 25e4)


def test_the_step_schedule_changes_at_ends_of_epochs_only() -> None:
    config = RunConfig("sgd", epochs=25, learning_rate=0.1)
    rates = [config.learning_rate_at(epoch + part) for epoch in range(25) for part in (0.0, 0.99)]
    assert [rates.count(rate) / 2 for rate in sorted(set(rates), reverse=True)] == [13, 6, 6]


@pytest.mark.parametrize("old", [{"augment": True}, {"augment": False}])
def test_configurations_of_an_earlier_version_are_read(old: dict[str, bool]) -> None:
    now = RunConfig("sgd", augment="crop-flip" if old["augment"] else "none")
    before = {k: v for k, v in now.to_json().items() if k not in {"schedule", "stem_stride", "first_phase"}} | old
    assert RunConfig.from_json(before) == now


def test_a_first_phase_belongs_to_sharpbalance() -> None:
    balance = RunConfig("sharpbalance", 0.1, first_phase="sam", rule="code-boost")
    assert balance.start == RunConfig("sam", 0.1)
    assert replace(balance, first_phase="sgd").start == RunConfig("sgd") == balance.plain
    assert RunConfig("sam", 0.1).start == RunConfig("sam", 0.1)
    with pytest.raises(InputError, match="belongs to sharpbalance"):
        RunConfig("sam", 0.1, first_phase="sam")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rho": 0.1},
        {"method": "sam"},
        {"rho": -1.0},
        {"rho": float("nan")},
        {"seeds": (1,)},
        {"seeds": (1, 1)},
        {"switch_epoch": 4},
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"batch_size": 1},
        {"blocks": ()},
        {"blocks": (1, 0)},
        {"sparsity": 1.0},
        {"clip_norm": 0.0},
        {"m": 4},
        {"adaptive": True},
        {"method": "sam", "rho": 0.1, "m": 1},
        {"validation_samples": -1},
        {"top_fraction": 1.0},
        {"width": 0},
    ],
)
def test_bad_configurations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(SMALL, **wrong)


def test_a_configuration_with_unknown_fields_is_refused() -> None:
    with pytest.raises(InputError, match="configuration"):
        RunConfig.from_json({**SMALL.to_json(), "colour": 1})
    with pytest.raises(InputError, match="lacks rho"):
        RunConfig.from_json({k: v for k, v in SMALL.to_json().items() if k != "rho"})
    assert all(field.name in SMALL.to_json() for field in fields(SMALL))
