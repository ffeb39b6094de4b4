"""``sharpdiv between --model``: barriers between networks that are not ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.own import NAME, users_data
from sharpdiv.cli.progress import Report
from sharpdiv.cli.show import titles
from sharpdiv.cli.users_code import users_code
from sharpdiv.empirical.connectivity.lines import Barriers, barriers
from sharpdiv.empirical.ensembles.checkpoints import Checkpoints, load_state
from sharpdiv.empirical.ensembles.named import named_factory, working_folder

__all__ = ["OwnMembers", "barriers_of_own"]

_BATCH = 128  # samples in batches of data sets, which give samples one by one


@dataclass(frozen=True)
class OwnMembers:
    """Networks that are not ours, and their data. Modules are also looked up in the working folder."""

    model: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """networks that are not runs of ours, as in sharpdiv measure"""
    checkpoints: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """state dicts of the members, one each"""
    data: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """data of your own, test data or (training, test), as in sharpdiv measure; batch norm needs training data"""
    train_data: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """training data of your own, if --data are test data alone"""


def barriers_of_own(
    own: OwnMembers, points: int, device: str, report: Report
) -> tuple[tuple[str, ...], Mapping[str, Barriers]]:
    """Barriers between checkpoints of a user's network.

    Args:
        own: networks and data.
        points: points on every line.
        device: where they are measured.
        report: told of progress.
    """
    if not (own.model and own.checkpoints and own.data):
        raise UsageError("networks that are not runs of ours need --model, --checkpoints and --data")
    named = [name for name in (own.model, own.data, own.train_data) if name]
    with working_folder(), users_code(*named):
        factory = named_factory(own.model)
        model = next(iter(Checkpoints(factory, own.checkpoints, device=device)))
        states = [load_state(path) for path in own.checkpoints]
        data = users_data(own.data, own.train_data, _BATCH)
        measure = partial(barriers, model, states, train=data.train, points=points, progress=report)
        found = {} if data.train is None else {"train": measure(data.train)}
        return tuple(titles(own.checkpoints)), {**found, "test": measure(data.test)}
