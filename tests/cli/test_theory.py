"""Closed forms and their referee: keys of the JSON, options, what has no value."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.calling import points, run

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


LEARNED_POINT = (FEATURE_POINT | {"training_loss", "trace"}) - {"sharpness"}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("gd",), ("sam", "--rho", "0:0.4:3"), ("sharpbalance", "--rho", "0.1")])
def test_diagonal_networks_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    size = ("--n", "40", "--d", "120", "--spread", "0.3")
    theory = points(capsys, "theory", "diagonal", *arguments, *size)
    simulation = points(capsys, "simulate", "diagonal", *arguments, *size, "--draws", "2", "--networks", "2")
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) == set(measured) | {"reason"} == LEARNED_POINT | {"sharpness", "reason"}
        assert "no limit" in predicted["reason"]
        assert set(measured["trace"]) == {"mean", "stderr"}


@pytest.mark.parametrize("arguments", [("gd",), ("sam", "--rho", "0:0.2:3"), ("sharpbalance", "--rho", "0.1")])
def test_two_layers_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    small = ("--n", "20", "--d", "40", "--width", "30", "--m", "5")
    theory = points(capsys, "theory", "two-layer", *arguments, *small)
    simulation = points(capsys, "simulate", "two-layer", *arguments, *small, "--draws", "2", "--networks", "2")
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) == set(measured) == FEATURE_POINT | {"trace", "training_loss"}
        assert set(measured["trace"]) == {"mean", "stderr"}


def test_two_layers_that_do_not_fit_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    (point,) = points(capsys, "theory", "two-layer", "sam", "--rho", "20")
    assert point["diversity"] is None
    assert "collapse" in point["reason"]


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
    text.write_text("1 # as isotropic as it gets\n1\n\n1\n")
    np.save(binary, np.ones(2, dtype=int))
    plain = points(capsys, "theory", "sam", "--rho", "0.1")
    for path in (text, binary):
        found = points(capsys, "theory", "sam", "--rho", "0.1", "--data-spectrum", str(path))
        assert found[0]["sharpness"] == pytest.approx(plain[0]["sharpness"], rel=1e-8)
        assert "isotropic data" in found[0]["reason"]
    size = ("--n", "60", "--d", "12", "--learning-rate", "0.002", "--draws", "2", "--inits", "3")
    text.write_text("1\n2\n4\n")
    (point,) = points(
        capsys, "simulate", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), "--blocks", "3", *size
    )
    assert point["sharpness"]["mean"] > 0
    assert "open" not in point["reason"]
    (point,) = points(capsys, "theory", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), *size[:6])
    assert point["sharpness"] is None
    assert "open problem" in point["reason"]


def test_a_covariance_is_its_eigenvalues(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    matrix = basis @ np.diag([0.5, 1.0, 2.0, 4.0]) @ basis.T
    matrix = (matrix + matrix.T) / 2
    files = [tmp_path / name for name in ("values.txt", "matrix.txt", "matrix.npy", "single.npy")]
    files[0].write_text("0.5\n1\n2\n4\n")
    np.savetxt(files[1], matrix, delimiter=", ")
    np.save(files[2], matrix)
    np.save(files[3], matrix.astype(np.float32))
    curve = ("theory", "sam", "--rho", "0.1", "--learning-rate", "0.002")
    (known,) = points(capsys, *curve, "--data-spectrum", str(files[0]))
    for path, digits in zip(files[1:], (1e-9, 1e-9, 1e-5), strict=True):
        (found,) = points(capsys, *curve, "--data-covariance", str(path))
        assert found["diversity"] == pytest.approx(known["diversity"], rel=digits)


@pytest.mark.parametrize("option", ["--data-spectrum", "--data-covariance"])
def test_what_is_below_zero_by_rounding_is_said_and_is_zero(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    """Ten samples in 30 dimensions: twenty eigenvalues are 0, some of them computed below it."""
    data = np.random.default_rng(1).standard_normal((10, 30))
    matrix = data.T @ data
    values = np.linalg.eigvalsh(matrix)
    assert -1e-12 < values.min() < 0
    np.save(tmp_path / "given.npy", values if option == "--data-spectrum" else matrix)
    curve = ("theory", "sam", "--rho", "0.1", "--learning-rate", "1e-4")
    status, out, err = run(capsys, *curve, option, str(tmp_path / "given.npy"), "--json", "-")
    assert status == 0
    assert re.fullmatch(
        r"sharpdiv: warning: .*given.npy has \d+ negative eigenvalues?, .* at least: rounding, taken as 0\n", err
    )
    (found,) = json.loads(out)["points"]
    np.save(tmp_path / "clipped.npy", values.clip(0))
    (known,) = points(capsys, *curve, "--data-spectrum", str(tmp_path / "clipped.npy"))
    assert found["diversity"] == pytest.approx(known["diversity"], rel=1e-9)


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--data-spectrum", "1 0.5\n2 0.7\n", r"line 1: one eigenvalue on each line.*got '1 0.5'.*index columns"),
        ("--data-spectrum", "1.0\n0,5\n", r"line 2: .*with a decimal point.*got '0 5'"),
        ("--data-spectrum", "0.1\n0.2;0.3\n", r"line 2: one eigenvalue"),
        ("--data-spectrum", "index value\n", "one eigenvalue on each line"),
        ("--data-spectrum", "value\n1\n", "line 1: does not hold numbers: 'value' is none"),
        ("--data-spectrum", np.eye(3), r"got shape \(3, 3\); --data-covariance takes"),
        ("--data-spectrum", np.ones(3, dtype=complex), "must hold real numbers, got complex128; numpy.linalg.eigvalsh"),
        ("--data-spectrum", np.array([True, False]), "must hold real numbers, got bool"),
        ("--data-spectrum", np.array([1.0, -1e-6]), "must be finite and non-negative, got -1e-06"),
        ("--data-covariance", np.ones(3), r"square matrix, got shape \(3,\); --data-spectrum takes"),
        ("--data-covariance", np.ones((2, 3)), r"square matrix, got shape \(2, 3\)"),
        (
            "--data-covariance",
            np.array([[1.0, 0.2], [0.3, 1.0]]),
            "symmetric matrix, got entries that differ .* by 0.1",
        ),
        ("--data-covariance", np.eye(2) * np.nan, "finite numbers"),
        ("--data-covariance", np.array([[1.0, 2.0], [2.0, 1.0]]), "must be finite and non-negative, got -1"),
        ("--data-covariance", "1 0\n0\n", "rows of different lengths"),
        ("--data-covariance", "1,0 0,5\n0,5 1,0\n", r"square matrix, got shape \(2, 4\)"),
    ],
)
def test_what_is_no_spectrum_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, content: str | np.ndarray, message: str
) -> None:
    path = tmp_path / ("given.txt" if isinstance(content, str) else "given.npy")
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    status, out, err = run(capsys, "theory", "sam", "--rho", "0.1", option, str(path))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_damaged_arrays_and_marks_of_editors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    damaged, marked = tmp_path / "a.npy", tmp_path / "b.txt"
    damaged.write_bytes(b"PK\x03\x04abc")
    status, _, err = run(capsys, "theory", "sam", "--rho", "0.1", "--data-spectrum", str(damaged))
    assert (status, err.count("\n")) == (2, 1)
    assert "a.npy does not hold numbers" in err
    marked.write_text("1\n2\n", encoding="utf-8-sig")
    assert run(capsys, "theory", "sam", "--rho", "0.1", "--data-spectrum", str(marked))[0] == 0


def test_normalized_is_about_sam(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "theory", "sam", "--rho", "0.1", "--optimizer", "other", "--normalized")
    assert status == 2
    assert "--normalized is about sam; it does not go with --optimizer other" in err


def test_a_spectrum_and_a_covariance_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--data-spectrum", "a.txt", "--data-covariance", "b.txt")
    status, _, err = run(capsys, "theory", "sam", "--rho", "0.1", *both)
    assert status == 2
    assert "do not go together" in err


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
