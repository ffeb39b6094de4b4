"""A design without claims is described by what of it is measured."""

from dataclasses import replace
from typing import Any

import pytest

from sharpdiv.checks.ensembles.described import described
from sharpdiv.checks.ensembles.quantities import MAIN_SHARPNESS
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import DESIGNS, PROFILES, Design
from sharpdiv.empirical.runs.record import RunRecord
from tests.checks.planted import planted_evidence


@pytest.fixture
def design() -> Design:
    """Three conditions of the digits, of which records can be made up."""
    names = ("sgd", "sam-mid", "sharpbalance-mid")
    return replace(DESIGNS["digits"].first(3), conditions={name: DESIGNS["digits"].conditions[name] for name in names})


def numbers(record: RunRecord) -> dict[str, float]:
    """As of a whole record; twice as diverse with every seed."""
    return dict.fromkeys(("accuracy_mean", "accuracy_ensemble", "corrupted_accuracy_ensemble", "der", "eir"), 0.5) | {
        "variance": float(record.config.seeds[0])
    }


def test_means_are_of_the_ensembles_that_are_there(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunRecord, "numbers", numbers)
    monkeypatch.setattr(RunRecord, "first_measure", MAIN_SHARPNESS)
    whole = Evidence(planted_evidence(DESIGNS["digits"], 3).records)
    lines = described(design, whole)
    assert [line.split(":")[0] for line in lines] == [
        "SGD, 3 of 3 ensembles",
        "SAM at rho = 0.05, 3 of 3 ensembles",
        "SharpBalance at rho = 0.05, 3 of 3 ensembles",
    ]
    assert all("diversity D 1007," in line for line in lines)  # of the blocks of seeds from 1004, 1007 and 1010 on
    first = Evidence(tuple(r for r in whole.records if r.config.seeds[0] == 1004 and r.config.method != "sam"))
    assert [line.split(":")[0] for line in described(design, first)] == [
        "SGD, 1 of 3 ensembles",
        "SharpBalance at rho = 0.05, 1 of 3 ensembles",
    ]


def test_nothing_is_said_of_what_was_not_measured(design: Design) -> None:
    of_others: Any = Evidence(planted_evidence(DESIGNS["digits"], 3).records)
    assert not described(PROFILES["gpu"][0], of_others)
    assert not described(design, Evidence())
