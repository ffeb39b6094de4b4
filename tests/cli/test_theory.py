"""Closed forms and their referee: keys of the JSON, options, what has no value."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.calling import points

POINT = {
    "rho",
    "diversity",
    "sharpness",
    "sharpness_ensemble",
    "sharpness_member",
    "sharpness_lower",
    "sharpness_upper",
    "member_error",
    "ensemble_error",
    "eir",
    "stable",
    "critical_rho",
}


@pytest.mark.parametrize(
    "arguments",
    [
        ("gd",),
        ("gd", "--blocks", "3"),
        ("sam", "--rho", "0.1", "0.3"),
        ("sharpbalance", "--rho", "0.1", "--blocks", "3"),
    ],
)
def test_theory_and_simulation_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    size = ("--n", "60", "--d", "10")
    theory = points(capsys, "theory", *arguments, *size)
    simulation = points(capsys, "simulate", *arguments, *size, "--draws", "3", "--inits", "4")
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) - {"reason"} == set(measured) - {"reason"} == POINT
        for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
            assert isinstance(predicted[name], float)
            assert set(measured[name]) == {"mean", "stderr"}
        for name in ("rho", "stable", "critical_rho", "sharpness_upper", "sharpness_lower"):
            assert predicted[name] == measured[name]


FEATURE_POINT = {"rho", "diversity", "sharpness", "member_error", "ensemble_error", "eir", "stable", "critical_rho"}


SMALL = ("--n", "60", "--d", "30", "--features", "40", "--steps", "3")


@pytest.mark.parametrize("arguments", [("gd",), ("sam", "--rho", "0:0.4:3"), ("sharpbalance", "--rho", "0.1")])
def test_random_features_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    theory = points(capsys, "theory", "random-features", *arguments, *SMALL)
    size = ("--draws", "2", "--networks", "2", "--test-samples", "50")
    simulation = points(capsys, "simulate", "random-features", *arguments, *SMALL, *size)
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) == set(measured) == FEATURE_POINT
        assert set(measured["eir"]) == {"mean", "stderr"}


def test_ranges_of_rho_and_finite_size(capsys: pytest.CaptureFixture[str]) -> None:
    found = points(capsys, "theory", "sam", "--rho", "0:0.1:5", "0.3", "--finite", "--n", "60", "--d", "10")
    assert [point["rho"] for point in found] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.3])
    for point in found:
        assert set(point) - {"reason"} == POINT | {"sharpness_lower_rigorous", "sharpness_upper_rigorous"}
        assert point["sharpness"] is None
        assert "sharpness: no closed form at finite (n, d)" in point["reason"]
        assert point["sharpness_lower_rigorous"] < point["sharpness_upper_rigorous"]


def test_a_spectrum_of_the_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, binary = tmp_path / "spectrum.txt", tmp_path / "spectrum.npy"
    text.write_text("1, 1 # as isotropic as it gets\n1 1\n")
    np.save(binary, np.ones(2, dtype=int))
    plain = points(capsys, "theory", "sam", "--rho", "0.1")
    for path in (text, binary):
        found = points(capsys, "theory", "sam", "--rho", "0.1", "--data-spectrum", str(path))
        assert found[0]["sharpness"] == pytest.approx(plain[0]["sharpness"], rel=1e-8)
        assert "isotropic data" in found[0]["reason"]
    size = ("--n", "60", "--d", "12", "--learning-rate", "0.002", "--draws", "2", "--inits", "3")
    text.write_text("1 2 4")
    (point,) = points(
        capsys, "simulate", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), "--blocks", "3", *size
    )
    assert point["sharpness"]["mean"] > 0
    assert "open" not in point["reason"]
    (point,) = points(capsys, "theory", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), *size[:6])
    assert point["sharpness"] is None
    assert "open problem" in point["reason"]


def test_normalized_sam_says_where_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    spelled = (("--normalized",), ("--normalised",), ("--optimizer", "normalized-sam"))
    first, *others = (points(capsys, "theory", "sam", "--rho", "1", "50", *option) for option in spelled)
    assert all(other == first for other in others)
    inside, outside = first
    assert inside["stable"]
    assert not outside["stable"]
    assert outside["diversity"] is None
    assert outside["critical_rho"] == pytest.approx(inside["critical_rho"])
    assert "only while every step contracts" in outside["reason"]


def test_what_has_no_value_is_null_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    (point,) = points(capsys, "theory", "sharpbalance", "--rho", "0.1")
    assert point["sharpness_lower"] is None
    assert "no lower bound" in point["reason"]
    (point,) = points(capsys, "theory", "gd", "--learning-rate", "0.1")
    assert point["critical_rho"] is None
    assert point["stable"] is False
    assert "critical_rho" in point["reason"]
    (point,) = points(capsys, "simulate", "sam", "--rho", "0.1", "--draws", "1")
    assert point["diversity"]["stderr"] is None


def test_defaults_are_the_contract_s(capsys: pytest.CaptureFixture[str]) -> None:
    (point,) = points(capsys, "theory", "sam", "--rho", "0.1")
    # teacher norm sqrt(sigma^2 d) and 3 members: EIR = (2/3) / 2.
    assert point["eir"] == pytest.approx(1 / 3)
    assert point["critical_rho"] == pytest.approx(0.18965, rel=1e-4)
