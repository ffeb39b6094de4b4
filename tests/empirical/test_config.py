"""Configurations as files: every field comes back, and what is no configuration is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from empirical import InputError, RunConfig, read_fields, write_config
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
        "augment": st.booleans(),
    }
)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("configurations")


FOLDER = Path()


@law(
    Mutation("none left out", "empirical.config._NONE", lambda _: "None"),
    examples=40,
    fields=options,
    kind=st.sampled_from(["toml", "json"]),
)
def test_every_field_comes_back_from_a_file(fields: dict[str, Any], kind: str) -> None:
    path, config = FOLDER / f"run.{kind}", RunConfig(**fields)
    write_config(path, config)
    assert '"None"' not in path.read_text()
    assert RunConfig.from_json(read_fields(path)) == config


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.yaml", "rho: 1", r"\.toml or \.json"),
        ("run.toml", "rho = = 1", "is not TOML"),
        ("run.json", "{", "is not JSON"),
        ("run.json", "[1]", "must hold an object"),
        ("run.toml", "colour = 1", "unknown fields colour"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_fields(tmp_path / name)


def test_a_file_of_another_kind_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.toml or \.json"):
        write_config(tmp_path / "run.yaml", RunConfig("sgd"))
    assert not list(tmp_path.iterdir())


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
