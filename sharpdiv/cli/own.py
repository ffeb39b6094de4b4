"""``sharpdiv measure --model``: networks that are not ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.progress import progress
from sharpdiv.cli.show import columns, show
from sharpdiv.cli.users_code import users_code
from sharpdiv.empirical.batches import Batches
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.ensembles.checkpoints import Checkpoints
from sharpdiv.empirical.ensembles.images import our_images
from sharpdiv.empirical.ensembles.measuring import measure_ensemble
from sharpdiv.empirical.ensembles.named import named_data, named_factory, working_folder
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.store import save_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["NAME", "Own", "OwnData", "given", "measure_own", "users_data"]

NAME = "MODULE:NAME"
"""How the help calls what a user's module holds."""


@dataclass(frozen=True)
class Own:
    """Networks that are not ours, and their data. Modules are also looked up in the working folder."""

    model: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """networks that are not runs of ours: a function or class without required arguments that makes one"""
    checkpoints: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """state dicts of its members, one each: .pt, .pth, .bin, .ckpt or .safetensors; a dict may hold them as state_dict or model"""
    data: Annotated[str | None, tyro.conf.arg(metavar=f"NAME|{NAME}")] = None
    """a data set of sharpdiv data list, normalized, also corrupted; or your own test data, or (training, test): torch Datasets,
    DataLoaders without shuffling or lists of batches; or a function without arguments that returns that"""
    train_data: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """training data of your own, without augmentation: sharpness and training accuracy need them"""
    train_samples: int | None = None
    """training images of one of our data sets, as in load_data; all unless given"""
    validation_samples: int = 0
    """images of it that were held out"""
    split_seed: int = 0
    """seed of its split"""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER")] = ()
    """layers as in model.named_modules(), whose features are compared between members"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """where to write predictions.npz, which sharpdiv metrics reads, and result.json"""


@dataclass(frozen=True)
class OwnData:
    """What the members are measured on."""

    test: Batches
    train: Batches | None
    corrupted: Mapping[str, Sequence[Batches]]


def given(options: "DataclassInstance") -> tuple[str, ...]:
    """Options that differ from their defaults, as they are written."""
    named = (each.name for each in fields(options) if getattr(options, each.name) != each.default)
    return tuple(f"--{name.replace('_', '-')}" for name in named)


def measure_own(own: Own, how: MeasureConfig, device: str, json: str | None) -> int:
    """Measure checkpoints of a user's network."""
    if not (own.model and own.checkpoints and own.data):
        raise UsageError("networks that are not runs of ours need --model, --checkpoints and --data")
    named = [name for name in (own.model, own.data, own.train_data) if name and ":" in name]
    with working_folder(), users_code(*named), progress("members") as report:
        models = Checkpoints(named_factory(own.model), own.checkpoints, device=device)
        data = _data(own, own.data, how)
        found = measure_ensemble(
            models,
            data.test,
            train=data.train,
            how=how,
            layers=own.layers,
            corrupted=data.corrupted,
            progress=report,
        )
    if own.out:
        found.save(own.out / "predictions.npz")
        save_json(own.out / "result.json", found.to_json())
    show(found.to_json(), json, _text(own, found))
    return 0


def _data(own: Own, name: str, how: MeasureConfig) -> OwnData:
    """Data under a name of ours, or in a module of the user's."""
    split = {"--train-samples", "--validation-samples", "--split-seed"} & set(given(own))
    if name in DATASETS:
        if own.train_data:
            raise UsageError(f"--train-data does not go with {name}, which has training images")
        images = our_images(name, how, own.train_samples, own.validation_samples, own.split_seed)
        return OwnData(images.test, images.train, dict(images.corrupted))
    if ":" not in name:
        raise UsageError(f"--data must be one of {', '.join(DATASETS)}, or package.module:name; got {name!r}")
    if split:
        raise UsageError(f"{', '.join(sorted(split))} split a data set of ours; {name} is split by its module")
    if how.split != "test":
        raise UsageError(f"--split {how.split} is about data sets of ours; name the data that predictions are made for")
    if how.corrupted != MeasureConfig.corrupted:
        raise UsageError(
            f"--corrupted {how.corrupted} is about data sets of ours, of which corrupted images are published"
        )
    return users_data(name, own.train_data, how.sharpness_batch)


def users_data(name: str, train_data: str | None, batch: int) -> OwnData:
    """Data in modules of the user's.

    Args:
        name: what --data names.
        train_data: what --train-data names.
        batch: number of samples in batches of data sets.
    """
    found = named_data(name, batch)
    if train_data is None:
        return OwnData(found.test, found.train, {})
    train = named_data(train_data, batch)
    if found.train is not None:
        raise UsageError(f"--train-data does not go with {name}, which has training data")
    if train.train is not None:
        raise UsageError(f"--train-data must be training data alone; {train_data} is a pair")
    return OwnData(found.test, train.test, {})


def _text(own: Own, found: MeasuredEnsemble) -> str:
    """The table of a run, and why some of it is empty."""
    title = f"{len(found.members)} members"
    lines = [columns({title: found.numbers()})]
    if found.fit is None:
        lines.append("- = not measured: sharpness and training accuracy need training data (--train-data)")
    if not found.corrupted:
        lines.append("- = not measured: corruptions are made of our data sets of images")
    if own.out:
        lines += map(str, (own.out / "predictions.npz", own.out / "result.json"))
    return "\n".join(lines)
