"""JSON of claims and findings: valid by the schema that comes with the package, numbers as numbers."""

import json
import math
from importlib.resources import files
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpdiv.checks.claim import Finding, Verdict, number
from sharpdiv.checks.effect import Effect
from sharpdiv.checks.quantity import Quantity, count, percent, several, span
from sharpdiv.checks.report.serialize import claim_json, finding_json
from tests.checks.report.findings import MADE_UP

SCHEMA = json.loads(files("sharpdiv.checks.report").joinpath("findings.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def whole(*pairs: Any) -> dict[str, Any]:
    """As ``sharpdiv check --json`` writes it, read again."""
    value = {"claims": [claim_json(claim) | finding_json(finding) for claim, finding in pairs]}
    return dict(json.loads(json.dumps(value, allow_nan=False)))


def test_the_schema_is_one_and_all_claims_are_valid() -> None:
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(whole(*MADE_UP))
    VALIDATOR.validate({"claims": [claim_json(claim) for claim, _ in MADE_UP]})  # as --list writes it


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("verdict",), "perhaps"),
        (("seed",), "one"),
        (("numbers", 0, "low"), "-0.5"),
        (("effects", 0, "direction"), 2),
        (("more",), 1),
        (("numbers", 0, "more"), 1),
        (("numbers", 1, "values", 0, "more"), 1),
    ],
)
def test_the_schema_rejects_what_is_wrong(place: tuple[Any, ...], wrong: Any) -> None:
    value = whole(MADE_UP[0])
    inner = value["claims"][0]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = wrong
    assert not VALIDATOR.is_valid(value)


def test_a_verdict_without_its_numbers_is_not_valid() -> None:
    value = whole(MADE_UP[0])
    del value["claims"][0]["numbers"]
    assert not VALIDATOR.is_valid(value)


def test_numbers_are_numbers() -> None:
    found = finding_json(MADE_UP[0][1])
    interval, both, words = found["numbers"]
    assert {name: interval[name] for name in ("value", "low", "high", "p", "adjusted")} == {
        "value": -0.25,
        "low": -0.5,
        "high": -0.01,
        "p": 0.012,
        "adjusted": 0.04,
    }
    assert [part["value"] for part in both["values"]] == [1.0, None]
    assert (both["values"][0]["stderr"], both["values"][0]["name"]) == (0.25, "SGD")
    assert words == {"label": "in words", "text": "no overlap"}
    assert found["effects"][0]["estimate"] == -0.25


@given(st.floats(width=32), st.one_of(st.none(), st.floats(width=32)), st.integers(-5, 10**9))
def test_whatever_is_measured_is_valid(value: float, stderr: float | None, n: int) -> None:
    effect = Effect(label="x", estimate=np.float64(value), low=value, high=value, unit="", n=n, stated=(0.0, 1.0))
    rows = (("a", number(value, stderr)), ("b", several([span(value, value), count(n)])), ("c", percent(value)))
    claim, _ = MADE_UP[0]
    (entry,) = whole((claim, Finding(Verdict.HOLDS, rows, effects=(effect,))))["claims"]
    VALIDATOR.validate({"claims": [entry]})
    assert entry["numbers"][0]["value"] == (value if math.isfinite(value) else None)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (number(0.12344, 0.001234), "0.1234 ± 0.0012"),
        (number(1.0), "1"),
        (count(24, " seeds"), "24 seeds"),
        (percent(0.4567), "46%"),
        (span(0.1, 2.0, form=".3f"), "0.100 to 2.000"),
        (Quantity(0.1, low=-0.1, high=0.3, p=0.2, detectable=0.5), "0.1 [-0.1, 0.3], p = 0.2 (80% power: 0.5)"),
        (Quantity(0.1, low=-0.1, high=0.3, p=0.0, adjusted=0.5), "0.1 [-0.1, 0.3], p < 1e-12, adjusted p = 0.5"),
    ],
)
def test_how_numbers_are_printed(quantity: Any, text: str) -> None:
    assert str(quantity) == text
