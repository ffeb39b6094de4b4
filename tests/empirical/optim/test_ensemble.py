"""SharpBalance around a user's own members: the numbers of the trainer, and what a user gets wrong."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from sharpdiv.empirical.data.splits import digits
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.ensemble import SharpBalance
from sharpdiv.empirical.optim.indexed import IndexedDataset
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.member import new_member, stream
from sharpdiv.empirical.store import load_tensors
from tests.empirical.networks import batch, mlp, state
from tests.laws import Mutation, law

CONFIG = RunConfig(
    "sharpbalance", rho=0.2, seeds=(1, 2, 3), width=4, blocks=(1, 1), epochs=4, batch_size=25, train_samples=90
)
FIELDS = {name: getattr(CONFIG, name) for name in ("epochs", "switch_epoch", "top_fraction", "rule")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """The sets, and every member, as ``sharpdiv train`` leaves them."""
    root = tmp_path_factory.mktemp("runs")
    train_runs([CONFIG], root, workers=1)
    folder: Path = run_folder(root, CONFIG)
    return [
        load_tensors(folder / f"{name}.safetensors")[0] for name in ("sets", *(f"member-{s}" for s in CONFIG.seeds))
    ]


def order_of(seed: int, epoch: int) -> list[list[int]]:
    """The batches of the trainer."""
    generator = torch.Generator().manual_seed(stream(seed, 1, epoch))
    return [part.tolist() for part in torch.randperm(90, generator=generator).split(25)]


@pytest.mark.slow
def test_a_loop_of_ones_own_has_the_trainers_bits(trained: list[dict[str, Tensor]]) -> None:
    images = digits(90)
    members = [new_member(CONFIG, images, seed, torch.device("cpu")) for seed in CONFIG.seeds]
    data = IndexedDataset(TensorDataset(images.normalize(images.train_images), images.train_labels))
    models, optimizers = [m.model for m in members], [m.optimizer for m in members]

    ensemble = SharpBalance(models, optimizers, DataLoader(data, batch_size=128), **FIELDS)
    while ensemble.epoch < ensemble.epochs:
        with ensemble.training_epoch() as epoch:
            for member, seed in zip(ensemble.members, CONFIG.seeds, strict=True):
                member.optimizer.param_groups[0]["lr"] = CONFIG.learning_rate_at(float(epoch))
                for inputs, targets, indices in DataLoader(data, batch_sampler=order_of(seed, epoch)):
                    member.step(inputs, targets, indices)

    sets, *weights = trained
    assert ensemble.scores is not None
    assert ensemble.sets is not None
    assert torch.equal(ensemble.scores, sets["scores"])
    assert torch.equal(ensemble.sets, sets["sets"])
    for model, theirs in zip(models, weights, strict=True):
        for name, value in model.state_dict().items():
            assert torch.equal(value, theirs[f"model.{name}"]), name
    assert [m.sam_samples for m in ensemble.members] == [int(w["history.sam_samples"][-1]) for w in weights]


class Members:
    """Two small networks on 12 samples."""

    def __init__(self, **options: Any) -> None:
        inputs, targets = batch(0)
        self.data: Any = IndexedDataset(TensorDataset(inputs, targets))
        self.models: list[nn.Module] = [mlp(seed) for seed in (0, 1)]
        for model in self.models:
            model.train()
        self.optimizers = [
            SAM(m.parameters(), torch.optim.SGD, 0.5, lr=0.1, momentum=0.9, model=m) for m in self.models
        ]
        self.options: dict[str, Any] = {"epochs": 4, "switch_epoch": 2, **options}
        self.scoring: Any = DataLoader(self.data, batch_size=5)

    def ensemble(self) -> SharpBalance:
        return SharpBalance(self.models, self.optimizers, self.scoring, **self.options)


def train(ensemble: SharpBalance, data: Any, epochs: int, **options: Any) -> None:
    for _ in range(epochs):
        with ensemble.training_epoch() as epoch:
            for member in ensemble.members:
                generator = torch.Generator().manual_seed(10 * epoch + member.number)
                loader = DataLoader(data, **{"batch_size": 6, "shuffle": True, "generator": generator, **options})
                for inputs, targets, indices in loader:
                    member.step(inputs, targets, indices)


@law(
    Mutation(
        "sets in the order of the batch",
        "sharpdiv.empirical.optim.ensemble.sharpbalance_step",
        lambda f: (
            lambda model, o, x, y, aware, *rest, **k: f(model, o, x, y, torch.arange(12) < aware.sum(), *rest, **k)
        ),
    ),
)
def test_members_may_see_samples_in_any_order() -> None:
    """With one sample a batch SAM takes none; with all samples in a batch the order is nothing but rounding."""
    found = []
    for shuffle in (True, False):
        members = Members(switch_epoch=0)
        members.scoring = DataLoader(members.data, batch_size=12)
        ensemble = members.ensemble()
        train(ensemble, members.data, 2, batch_size=12, shuffle=shuffle)
        assert ensemble.sets is not None
        found.append([ensemble.sets, *members.models[0].parameters()])
    assert torch.equal(found[0][0], found[1][0])
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-5)  # float32, 2 steps


def test_scores_do_not_depend_on_the_scoring_loaders_order() -> None:
    found = []
    for options in ({"batch_size": 12}, {"batch_size": 4, "shuffle": True}):
        members = Members(switch_epoch=0)
        members.scoring = DataLoader(members.data, **options)  # type: ignore[arg-type]
        ensemble = members.ensemble()
        with pytest.raises(InputError, match="took no step"), ensemble.training_epoch():
            pass
        assert ensemble.scores is not None
        found.append(ensemble.scores)
    assert found[0].numpy() == pytest.approx(found[1].numpy(), rel=1e-5)  # float32


@pytest.mark.parametrize("done", [1, 2, 3])
def test_resumed_training_ends_with_the_bits_of_one_that_went_on(done: int) -> None:
    straight = Members(rule="random", generator=torch.Generator().manual_seed(5))
    whole = straight.ensemble()
    train(whole, straight.data, 4)
    before = Members(rule="random", generator=torch.Generator().manual_seed(5))
    first = before.ensemble()
    train(first, before.data, done)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    after = Members(rule="random", generator=torch.Generator().manual_seed(99))
    for model in after.models:
        nn.init.zeros_(next(model.parameters()))
    second = after.ensemble()
    second.load_state_dict(torch.load(file, weights_only=True))
    train(second, after.data, 4 - done)
    assert second.sets is not None
    assert whole.sets is not None
    assert torch.equal(second.sets, whole.sets)
    for one, other in zip(straight.models, after.models, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(state(one), state(other), strict=True))


def test_a_state_of_other_settings_is_refused() -> None:
    with pytest.raises(InputError, match="'switch_epoch': 2"):
        Members(switch_epoch=1).ensemble().load_state_dict(Members().ensemble().state_dict())


def last_weight_of_another_shape(saved: dict[str, Any]) -> None:
    saved["members"][1]["model"]["last.weight"] = torch.zeros(1, 1)


def rho_without_meaning(saved: dict[str, Any]) -> None:
    saved["members"][1]["optimizer"]["param_groups"][0]["rho"] = -1.0


def no_sets(saved: dict[str, Any]) -> None:
    del saved["sets"]


def one_member(saved: dict[str, Any]) -> None:
    saved["members"].pop()


def no_generator(saved: dict[str, Any]) -> None:
    saved["generator"] = torch.zeros(3, dtype=torch.uint8)


@pytest.mark.parametrize(
    "damage", [last_weight_of_another_shape, rho_without_meaning, no_sets, one_member, no_generator]
)
def test_a_state_that_does_not_fit_changes_nothing(damage: Any) -> None:
    """The damage is met after parts that fit; training then goes on to the bits of one that was never disturbed."""
    found = []
    for disturbed in (True, False):
        members = Members(rule="random", generator=torch.Generator().manual_seed(5))
        ensemble = members.ensemble()
        train(ensemble, members.data, 1)
        if disturbed:
            other = Members(rule="random", generator=torch.Generator().manual_seed(6))
            trained = other.ensemble()
            train(trained, other.data, 3)
            saved = trained.state_dict()
            damage(saved)
            with pytest.raises(InputError):
                ensemble.load_state_dict(saved)
            assert ensemble.epoch == 1
        train(ensemble, members.data, 3)
        assert ensemble.sets is not None
        found.append([ensemble.sets, *(t for model in members.models for t in state(model))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_steps_and_epochs_out_of_order() -> None:
    members = Members(epochs=1, switch_epoch=0)
    ensemble = members.ensemble()
    inputs, targets = batch(0)
    with pytest.raises(InputError, match="outside of an epoch"):
        ensemble.members[0].step(inputs, targets, torch.arange(12))
    with ensemble.training_epoch():
        with pytest.raises(InputError, match="save between epochs"):
            ensemble.state_dict()
        with pytest.raises(InputError, match="going on"), ensemble.training_epoch():
            pass
        for member in ensemble.members:
            member.step(inputs, targets, torch.arange(12))
    with pytest.raises(InputError, match="epoch 1 of 1 is beyond"), ensemble.training_epoch():
        pass


@pytest.mark.parametrize(("epochs", "switch"), [(3, 3), (3, 5), (3, -1), (0, 0)])
def test_an_exchange_that_would_never_come_is_said_at_once(epochs: int, switch: int) -> None:
    with pytest.raises(InputError, match="scores would never be exchanged"):
        Members(epochs=epochs, switch_epoch=switch).ensemble()


def test_sets_that_cannot_be_formed_are_said_at_once() -> None:
    for options, message in (
        ({"top_fraction": 0.01}, "selects none"),
        ({"rule": "random"}, "generator"),
        ({"top_fraction": 1.5}, "top fraction"),
    ):
        with pytest.raises(InputError, match=message):
            Members(**options).ensemble()


def test_members_that_are_not_apart_are_refused() -> None:
    members = Members()
    members.models[1].last = members.models[0].last
    with pytest.raises(InputError, match=r"members 0 and 1 share the parameter last.weight"):
        members.ensemble()
    members = Members()
    members.optimizers.reverse()
    with pytest.raises(InputError, match="optimizer 0 has parameters that model 0 has not"):
        members.ensemble()
    members = Members()
    members.optimizers.pop()
    with pytest.raises(InputError, match="2 models and 1 optimizers"):
        members.ensemble()
    members = Members()
    members.models, members.optimizers = members.models[:1], members.optimizers[:1]
    with pytest.raises(InputError, match="at least 2"):
        members.ensemble()


@pytest.mark.parametrize(
    "indices",
    [torch.arange(12) + 1, torch.arange(12) - 1, torch.arange(12.0), torch.ones(12, dtype=torch.bool), torch.tensor(1)],
)
def test_indices_that_are_none(indices: Tensor) -> None:
    ensemble = Members(switch_epoch=0).ensemble()
    inputs, targets = batch(0)
    ensemble.running = True
    with pytest.raises(InputError, match="indices must"):
        ensemble.members[0].step(inputs, targets, indices)


def test_indices_of_another_data_set() -> None:
    """Places in the batch, or in a subset, in place of places in what was scored."""
    members = Members(switch_epoch=0)
    ensemble = members.ensemble()
    inputs, targets = batch(0)
    with ensemble.training_epoch():
        with pytest.raises(InputError, match="index and score one data set"):
            ensemble.members[0].step(inputs.flip(0), targets.flip(0), torch.arange(12))
        for member in ensemble.members:
            member.step(inputs.flip(0), targets.flip(0), torch.arange(12).flip(0))


def test_loaders_that_drop_samples() -> None:
    members = Members()
    ensemble = members.ensemble()
    with pytest.warns(RuntimeWarning, match="left out 2 of 12 samples in epoch 0") as caught:
        train(ensemble, members.data, 2, batch_size=5, drop_last=True)
    assert len(caught) == 2  # once for each member
    members.scoring = DataLoader(members.data, batch_size=5, drop_last=True)
    ensemble = Members.ensemble(members)
    ensemble.epoch = 2
    with pytest.raises(InputError, match="2 were left out and 0 came again"), ensemble.training_epoch():
        pass


def test_batches_too_small_for_sam_are_said() -> None:
    members = Members(switch_epoch=0, top_fraction=0.1)
    ensemble = members.ensemble()
    with pytest.raises(InputError, match="took no SAM step"):
        train(ensemble, members.data, 1, batch_size=4, shuffle=False)


class Noisy(Dataset[tuple[Tensor, int]]):
    """An augmented data set."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.randn(5), index % 3


class Stream(IterableDataset[int]):
    """A data set without an end."""

    def __iter__(self) -> Iterator[int]:
        yield 1


def test_random_views_are_not_scored() -> None:
    members = Members(switch_epoch=0)
    members.scoring = DataLoader(IndexedDataset(Noisy()), batch_size=5)
    with pytest.raises(InputError, match="samples are random"), members.ensemble().training_epoch():
        pass


def test_data_sets_that_have_no_indices() -> None:
    with pytest.raises(InputError, match="map-style"):
        IndexedDataset(Stream())
    with pytest.raises(InputError, match="pairs"):
        IndexedDataset(TensorDataset(torch.zeros(3)))[0]
    assert IndexedDataset(Subset(Noisy(), [7, 3]))[1][2] == 1  # indices are places in what is wrapped
