"""The members of a trained run and its data, as the functions of lines and planes take them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.connectivity.lines import Barriers, barriers
from sharpdiv.empirical.connectivity.members import State
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, load_run_data
from sharpdiv.empirical.runs.folders import open_run, require_same_data
from sharpdiv.empirical.runs.member import load_member

__all__ = ["RunMembers", "open_members"]

_TEST_BATCH = 500  # images; batch norm does not look at it in evaluation mode


@dataclass(frozen=True, eq=False)
class RunMembers:
    """The trained members of a run, and its data.

    Example: see ``open_members``, which makes it.
    """

    config: RunConfig
    """what was trained"""
    model: nn.Module
    """a network of their architecture, on the device"""
    states: tuple[State, ...]
    """state dicts of all members, in the order of the seeds"""
    train: tuple[Batch, ...]
    """first training images, un-augmented, in the batches that it was trained with"""
    test: tuple[Batch, ...]
    """first test images"""

    @float32_products()
    def barriers(self, points: int = 21, progress: Progress = lambda *_: None) -> dict[str, Barriers]:
        """Barriers between all pairs of members.

        Args:
            points: points on every line.
            progress: listener, told after every pair.

        Returns:
            Those of the ``train`` and the ``test`` images.

        Raises:
            DivergenceError: if a loss is not finite.
        """
        return {
            name: barriers(
                self.model, self.states, list(data), train=list(self.train), points=points, progress=progress
            )
            for name, data in (("train", self.train), ("test", self.test))
        }


def open_members(
    folder: Path, train_samples: int = 1024, test_samples: int = 2000, *, device: str = "cpu"
) -> RunMembers:
    """The members of a trained run.

    Args:
        folder: folder of the run.
        train_samples: first training images that losses and statistics of batch norm are taken on.
        test_samples: first test images that losses are taken on.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        Members and data.

    Raises:
        InputError: if a number of samples is not positive.
        StoreError: if the run is not trained, or a stored file is damaged.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, train_runs
        >>> from sharpdiv.empirical.connectivity.of_runs import open_members
        >>> config = RunConfig("sgd", seeds=(0, 1, 2), width=2, blocks=(1,), epochs=1, train_samples=50)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_runs([config], Path(folder), workers=1)
        ...     members = open_members(Path(folder) / config.run_id, test_samples=100)
        >>> found = members.barriers(points=3)
        >>> found["train"].loss.shape, len(members.states)
        ((3, 3), 3)
    """
    if min(train_samples, test_samples) < 2:
        raise InputError(f"numbers of samples must be at least 2, got {train_samples} and {test_samples}")
    config, place = open_run(folder), choose_device(device)
    require_same_data(folder.resolve().parent, [config], load_run_data)
    data = load_run_data(config)
    if missing := [seed for seed in config.seeds if not (folder / f"member-{seed}.safetensors").exists()]:
        raise StoreError(f"{folder} has no trained member of seed {missing[0]}; sharpdiv train goes on with it")
    members = [
        load_member(folder / f"member-{seed}.safetensors", config, data, seed, place).model for seed in config.seeds
    ]
    train = data.train_images[:train_samples], data.train_labels[:train_samples]
    test = data.test_images[:test_samples], data.test_labels[:test_samples]
    return RunMembers(
        config=config,
        model=members[0],
        states=tuple(member.state_dict() for member in members),
        train=_batches(data, *train, config.batch_size, place),
        test=_batches(data, *test, _TEST_BATCH, place),
    )


def _batches(data: ImageData, images: Tensor, labels: Tensor, size: int, device: torch.device) -> tuple[Batch, ...]:
    """Normalized images in batches of about one size: none of a single image, which batch norm cannot use."""
    count = max(1, len(labels) // size)
    pairs = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
    return tuple((data.normalize(x.to(device)), y.to(device)) for x, y in pairs)
