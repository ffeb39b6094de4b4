"""The registry of measures: each is what its function gives, depends on the settings it names and on no other."""

import pytest

from sharpdiv.empirical.curvature.measures import MEASURES, SharpnessSettings
from tests.empirical.networks import batch, mlp

SETTINGS = SharpnessSettings(iterations=2, restarts=2, draws=2, trace_draws=2)


class Asked(SharpnessSettings):
    """Settings that remember which of them were asked for."""

    asked: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> object:
        if name in SharpnessSettings.__dataclass_fields__:
            type(self).asked |= {name}
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_names_the_settings_that_it_needs(name: str) -> None:
    measure, model, batches = MEASURES[name], mlp(0), [batch(1), batch(2)]
    assert measure.name == name
    assert measure.label
    settings = Asked(iterations=2, restarts=2, draws=2, trace_draws=2)
    Asked.asked = frozenset()
    value, error = measure.take(model, batches, settings)
    assert Asked.asked == set(measure.needs)
    assert value >= 0
    assert error >= 0
    assert measure.take(model, batches, SETTINGS) == (value, error)


def test_labels_tell_measures_apart() -> None:
    assert len({measure.label for measure in MEASURES.values()}) == len(MEASURES) == 10
