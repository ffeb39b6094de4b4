"""A plot says which ensembles of which model it shows, at which parameters."""

from pathlib import Path

from sharpdiv.cli.ensembles import Ensemble, Model
from sharpdiv.cli.titles import of_ensembles, of_problem
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.setting import Setting


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_parameters_are_those_of_the_setting() -> None:
    title, parameters = of_problem(Ensemble("sam", rho=("0.1",), members=5), Setting(steps=7, label_noise=0.5), Model())
    assert title == "SAM, 5 members, quadratic problem"
    told = _plain(parameters).split(", ")
    assert told[:5] == ["$n$ = 3000", "$d$ = 150", "$k$ = 7", r"$\eta$ = 0.01", r"$\sigma^2$ = 0.1"]
    assert told[5:] == ["radius = 0.01", "label noise = 0.5"]


def test_what_is_beyond_the_papers_model_is_told() -> None:
    ensemble = Ensemble("sharpbalance", rho=("1",), blocks=10)
    model = Model(data_spectrum=Path("folder/eigen$.txt"), normalized=True)
    title, parameters = of_problem(ensemble, Setting(), model, finite=True)
    assert title == "SharpBalance, 10 blocks, quadratic problem, exact at this size"
    assert _plain(parameters).endswith(r", optimizer = normalized-sam, covariance = eigen\$.txt")


def test_other_models_have_other_parameters() -> None:
    ensemble = Ensemble("gd").resolved(blocks=3)
    title, parameters = of_ensembles("random-feature networks", ensemble, RandomFeatureSetting())
    assert title == "Gradient descent, 3 members, random-feature networks"
    assert "features = 400, activation = relu, $k$ = 10" in _plain(parameters)
    assert "teacher" not in parameters, "what is not given is not told"
