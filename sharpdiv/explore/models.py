"""The models that can be explored: their dials, their theory, and how each is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sharpdiv.explore.dials import Dial, Values
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["DIAGONAL", "LINEAR", "MODELS", "TWO_LAYER", "Model", "Preset", "Problem"]

Problem = Setting | DiagonalSetting | TwoLayerSetting
_Predict = Callable[..., Any]  # the theory's functions differ in the setting that they take


@dataclass(frozen=True)
class Preset:
    """A setting worth looking at."""

    title: str
    values: Mapping[str, float]
    """of dials, where they differ from where they start"""
    span: tuple[float, float]
    """of rho"""
    rho: float
    """where values are read off first"""
    about: str
    """where it is from, and what to see"""
    drawn: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """rho of each method that the paper draws"""


@dataclass(frozen=True, eq=False)
class Model:
    """A solvable model."""

    title: str
    about: str
    """HTML"""
    variant: tuple[str, ...]
    """words of the command line between ``theory`` and the method"""
    problem: Callable[..., Problem]
    """type of its setting"""
    sam: _Predict
    sharpbalance: _Predict
    imports: str
    """Python that brings the three"""
    dials: tuple[Dial, ...]
    """``members``, ``blocks``, fields of the setting (``m`` 0: the full batch), and ``teacher``, |w*| over its usual value"""
    presets: tuple[Preset, ...]
    """the first one is where it starts"""
    flatness: str
    """which quantity stands for sharpness"""
    places: int
    """values of rho: few where each costs"""
    quick: bool
    """whether it follows a slider that is being moved"""

    def start(self) -> Values:
        """Where the dials are at first."""
        problem = self.problem()
        known: dict[str, Any] = {"members": 3, "blocks": 10 if self is LINEAR else 2, "teacher": 1.0, "m": 0}
        known |= {name: value for name, value in vars(problem).items() if value is not None}
        return {dial.name: known[dial.name] for dial in self.dials}

    def made(self, values: Values) -> Problem:
        """The setting that the dials say.

        Args:
            values: Positions of the dials.

        Returns:
            A setting; a teacher of the usual length is left out of it.

        Raises:
            DomainError: if a number is outside its domain.

        Examples:
            >>> from sharpdiv.explore.models import LINEAR
            >>> LINEAR.made(LINEAR.start() | {"steps": 5}).steps
            5
        """
        fields: dict[str, float | None] = {
            name: value for name, value in values.items() if name not in {"members", "blocks", "teacher"}
        }
        if fields.get("m") == 0:
            fields["m"] = None
        scale = values.get("teacher", 1.0)
        if scale != 1:
            fields["teacher_norm"] = float(scale * np.sqrt(values["init_variance"] * values["d"]))
        return self.problem(**fields)


_SIZES = (20, 30, 50, 75, 100, 150, 200, 300, 450, 600, 900, 1200, 1500, 2000, 3000, 4500, 6000, 9000, 12000, 30000)
_RATES: tuple[float, ...] = (
    0.0005,
    0.001,
    0.002,
    0.003,
    0.004,
    0.005,
    0.006,
    0.008,
    0.01,
    0.012,
    0.015,
    0.02,
    0.025,
    0.03,
    0.04,
    0.05,
)
_RATES += (0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)
_VARIANCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_NOISES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_RADII = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_COUNTS = tuple(range(2, 11))
_GROUPS = (0, 1, 2, 4, 5, 10, 20, 25, 50, 100)
_MEMBERS = Dial("members", "m", "members of SAM's ensemble", _COUNTS)
_BLOCKS = Dial("blocks", "s", "blocks of SharpBalance", (*_COUNTS, 12, 15, 20, 25, 30, 50))
_NOISE = Dial("label_noise", r"\sigma_e^2", "label noise", _NOISES)
_RADIUS = Dial("radius", r"\rho_0", "radius of sharpness", _RADII)

LINEAR = Model(
    title="Linear model",
    about="Theorems 1 and 2: ensembles of linear models after <i>k</i> steps of SAM on <i>n</i> samples in <i>d</i> dimensions. "
    "Exact limits of many samples and dimensions.",
    variant=(),
    problem=Setting,
    sam=sam_tradeoff,
    sharpbalance=sharpbalance_tradeoff,
    imports="from sharpdiv import Setting, sam_tradeoff, sharpbalance_tradeoff",
    dials=(
        Dial("n", "n", "samples", _SIZES),
        Dial("d", "d", "dimensions", _SIZES[:-2]),
        Dial("learning_rate", r"\eta", "learning rate", _RATES),
        Dial("steps", "k", "steps", tuple(range(21))),
        Dial("init_variance", r"\sigma^2", "variance of the initialization", _VARIANCES),
        Dial("teacher", r"|w^*| / \sqrt{\sigma^2 d}", "norm of the teacher", (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)),
        _NOISE,
        _RADIUS,
        _MEMBERS,
        _BLOCKS,
    ),
    presets=(
        Preset(
            "Stable range", {}, (0.0, 0.25), 0.1, "The paper's parameters, where SAM is stable and a little beyond."
        ),
        Preset(
            "Fig. 1b",
            {},
            (0.0, 1.5),
            0.252,
            "The paper draws SAM at rho from 0.24 to 0.255, beyond its critical rho, and SharpBalance from 0.01 to 1.5.",
            {"sam": (0.24, 0.255), "sharpbalance": (0.01, 1.5)},
        ),
        Preset(
            "Fig. 1b, 3 blocks",
            {"blocks": 3},
            (0.0, 1.2),
            0.18,
            "With 3 blocks the stable ranges of sharpness overlap, and SharpBalance is more diverse at equal sharpness.",
        ),
        Preset(
            "Fig. 2",
            {},
            (0.0, 0.5),
            0.4,
            "The paper draws SAM at rho from 0.3 to 0.5: all of it beyond the critical rho.",
            {"sam": (0.3, 0.5)},
        ),
        Preset(
            "Appendix",
            {"steps": 5},
            (0.0, 1.2),
            0.7,
            "The paper draws SharpBalance after 5 steps at rho from 0.4 to 1.",
            {"sharpbalance": (0.4, 1.0)},
        ),
        Preset("Noisy labels", {"label_noise": 0.1}, (0.0, 0.25), 0.1, "With label noise SAM's EIR falls with rho."),
    ),
    flatness="sharpness",
    places=251,
    quick=True,
)

DIAGONAL = Model(
    title="Diagonal network",
    about="Diagonal linear networks, <i>β</i> = <i>w</i><sub>+</sub>² − <i>w</i><sub>−</sub>², which learn features, trained "
    "to zero loss. SAM's ascents take <i>m</i> samples each. Sharpness has no limit here; the trace of the Hessian stands for it.",
    variant=("diagonal",),
    problem=DiagonalSetting,
    sam=diagonal_tradeoff,
    sharpbalance=diagonal_tradeoff,
    imports="from sharpdiv import DiagonalSetting, diagonal_tradeoff",
    dials=(
        Dial("n", "n", "samples", (20, 40, 60, 80, 100, 120, 150, 200, 300, 400)),
        Dial("d", "d", "dimensions", (50, 100, 150, 200, 300, 400, 600, 800, 1000, 2000)),
        Dial("alpha", r"\alpha", "initial weights", (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)),
        Dial("spread", r"s_\alpha", "spread of the initial weights", (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)),
        Dial("density", r"q", "share of the teacher that is not 0", (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)),
        _NOISE,
        Dial("m", "m", "samples of an ascent (0: all)", _GROUPS),
        Dial("members", "M", "members of SAM's ensemble", _COUNTS),
        Dial("blocks", "s", "blocks of SharpBalance", (2, 4, 5, 10)),
    ),
    presets=(
        Preset("Per-sample SAM", {}, (0.0, 1.2), 0.5, "SAM lowers the trace, D and EIR together."),
        Preset("Ascents of 5 samples", {"m": 5}, (0.0, 3.0), 1.0, "The same curve, further along rho."),
        Preset(
            "Sparse teacher", {"density": 0.05}, (0.0, 1.2), 0.5, "One coordinate in twenty of the teacher is not 0."
        ),
    ),
    flatness="trace",
    places=41,
    quick=False,
)

TWO_LAYER = Model(
    title="Two-layer network",
    about="Two-layer linear networks, <i>f</i>(<i>x</i>) = <i>a</i>'<i>Wx</i>, of random first and second layer, trained until "
    "they fit. SAM's ascents take <i>m</i> samples each.",
    variant=("two-layer",),
    problem=TwoLayerSetting,
    sam=two_layer_tradeoff,
    sharpbalance=two_layer_tradeoff,
    imports="from sharpdiv import TwoLayerSetting, two_layer_tradeoff",
    dials=(
        Dial("n", "n", "samples", (20, 40, 60, 80, 100, 120, 150, 200)),
        Dial("d", "d", "dimensions", (50, 100, 150, 200, 300, 400, 600, 800, 1000)),
        Dial("width", "p", "hidden units", (50, 100, 200, 300, 500, 1000, 2000)),
        Dial("learning_rate", r"\eta", "learning rate", (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)),
        _NOISE,
        Dial("m", "m", "samples of an ascent (0: all)", _GROUPS),
        _RADIUS,
        Dial("members", "M", "members of SAM's ensemble", _COUNTS),
        Dial("blocks", "s", "blocks of SharpBalance", (2, 4, 5, 10)),
    ),
    presets=(
        Preset(
            "Per-sample SAM", {"m": 1}, (0.0, 0.016), 0.006, "SAM shrinks the last layer: sharpness, D and EIR fall."
        ),
        Preset("Full batch", {}, (0.0, 1.0), 0.4, "One ascent for all samples; rho acts a hundred times less."),
    ),
    flatness="sharpness",
    places=33,
    quick=True,
)

MODELS = {model.title: model for model in (LINEAR, DIAGONAL, TWO_LAYER)}
"""By title, as the tabs are."""
