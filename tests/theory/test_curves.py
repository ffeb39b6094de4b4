"""Predictions and simulations as values: compared, hashed, as tables and plots."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.filters import phi
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff
from tests.laws import Mutation, law, types_unchecked

SETTING = Setting(n=60, d=20)
RHO = (0.0, 0.1, 0.2)
CURVE = sam_tradeoff(SETTING, RHO)


@law(
    Mutation(
        "only the first of the values",
        "sharpdiv.theory.curves.np.array_equal",
        lambda f: lambda a, b, **o: f(a[:1], b[:1], **o),
    ),
    name=st.sampled_from(["diversity", "sharpness", "eir", "rho"]),
    place=st.integers(0, 2),
)
def test_equal_is_equal_in_every_value(name: str, place: int) -> None:
    same = sam_tradeoff(SETTING, RHO)
    assert same == CURVE
    assert hash(CURVE) == hash(same)
    changed = getattr(CURVE, name).copy()
    changed[place] = np.nextafter(changed[place], 9.0)
    values = {name: changed}
    assert replace(CURVE, **values) != CURVE
    assert len({CURVE, same, replace(CURVE, **values)}) == 2


def test_other_things_are_not_equal() -> None:
    measured = simulate(SETTING, RHO, draws=2, inits=3)
    assert measured == simulate(SETTING, RHO, draws=2, inits=3)
    assert measured != simulate(SETTING, RHO, draws=2, inits=3, seed=1)
    assert measured != CURVE
    assert CURVE != 1


def test_what_is_missing_equals_what_is_missing() -> None:
    one, two = (
        simulate(Setting(n=20, d=5, steps=0, init_variance=0.0, teacher_norm=0.0), 0.0, draws=k) for k in (1, 2)
    )
    assert one != two
    assert Estimate(CURVE.rho, None) != Estimate(CURVE.rho, CURVE.rho)
    nan = np.array([np.nan])
    same = Estimate(nan, None), Estimate(-nan, None)
    assert same[0] == same[1]
    assert hash(same[0]) == hash(same[1])


def test_a_table_has_what_is_known() -> None:
    frame = CURVE.to_frame()
    assert frame["rho"].tolist() == list(RHO)
    assert frame["diversity"].tolist() == CURVE.diversity.tolist()
    assert "sharpness_lower_rigorous" not in frame  # NaN in the limit
    assert "critical_rho" not in frame
    measured = simulate(SETTING, RHO, draws=2, inits=3)
    assert measured.to_frame()["diversity_stderr"].tolist() == list(np.asarray(measured.diversity.stderr))
    assert CURVE._repr_html_().count("<tr>") == 1 + len(RHO)
    assert f"<td>{CURVE.sharpness[1]:.6g}</td>" in CURVE._repr_html_()


def test_a_plot_shows_the_columns_and_refuses_what_is_no_column() -> None:
    (line,) = CURVE.plot().get_lines()
    assert line.get_xydata().tolist() == np.stack([CURVE.sharpness, CURVE.diversity], axis=1).tolist()  # type: ignore[union-attr]
    with pytest.raises(DomainError, match="there is no column 'flatness' here; there are rho, diversity"):
        CURVE.plot("flatness")


def test_numbers_give_numbers_and_lists_are_spectra() -> None:
    value = phi(1, 1, MarchenkoPastur(2.0), 0.1, 0.0)
    assert isinstance(value, float)
    assert phi(1, 1, MarchenkoPastur(2.0), 0.1, np.zeros(2)) == pytest.approx([value, value], rel=1e-15)
    assert EmpiricalSpectrum([1.0, 2.0]).integrate(lambda x: x) == 1.5
    for wrong in (["a"], [[1.0], [1.0, 2.0]], [1j], [True]):
        with types_unchecked(), pytest.raises(DomainError, match="eigenvalues must be real numbers"):
            EmpiricalSpectrum(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("rho", [True, np.array([True, False])])
def test_a_truth_value_is_no_radius(rho: object) -> None:
    with types_unchecked(), pytest.raises(DomainError, match="rho must be a number"):
        sam_tradeoff(SETTING, rho)  # type: ignore[arg-type]
    with types_unchecked(), pytest.raises(DomainError, match="rho must be a number"):
        phi(2, 1, MarchenkoPastur(20.0), 0.01, rho)  # type: ignore[arg-type]
    with types_unchecked(), pytest.raises(DomainError, match="radius must be a number, got True"):
        Setting(radius=True)
    assert isinstance(CURVE, Tradeoff)
