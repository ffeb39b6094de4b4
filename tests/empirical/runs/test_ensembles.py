"""Runs: identity, resumption to the same bits, and the one loop behind three methods."""

import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.data.splits import digits
from sharpdiv.empirical.errors import DivergenceError, InputError, StoreError
from sharpdiv.empirical.runs import config as config_module
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import open_run, run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measuring import measure_runs
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.store import load_json, load_tensors, save_json
from tests.laws import Mutation, law

CPU = torch.device("cpu")
PROJECT = Path(__file__).parents[3]
TINY = RunConfig("sgd", seeds=(1, 2), train_samples=40, width=8, blocks=(1, 1), epochs=4, batch_size=10, switch_epoch=2)
TINY_BALANCE = replace(TINY, method="sharpbalance", rho=0.1)
QUICK = MeasureConfig(iterations=2, corrupted_samples=20)
OTHER = replace(QUICK, iterations=3)

changes: dict[str, tuple[Any, Any]] = {
    "method": ("sam", "sharpbalance"),
    "rho": (0.1, 0.2),
    "seeds": ((1, 2), (1, 3)),
    "split_seed": (0, 1),
    "train_samples": (40, 41),
    "learning_rate": (0.1, 0.2),
    "top_fraction": (0.5, 0.25),
    "rule": ("paper", "code"),
    "switch_epoch": (2, 3),
    "adaptive": (False, True),
    "m": (None, 4),
    "validation_samples": (0, 5),
    "augment": ("none", "flip"),
    "blocks": ((1, 1), (1, 2)),
    "sparsity": (0.0, 0.5),
    "clip_norm": (None, 1.0),
    "precision": ("float32", "bfloat16"),
    "compile": (False, True),
    "data": ("digits", "cifar10"),
    "width": (8, 16),
    "stem_stride": (None, 2),
    "epochs": (4, 5),
    "batch_size": (10, 20),
    "schedule": ("step", "one-cycle"),
    "momentum": (0.9, 0.0),
    "weight_decay": (5e-3, 0.0),
    "first_phase": ("sgd", "sam"),
}


@law(
    Mutation(
        "hash of the method alone", "sharpdiv.empirical.runs.config.digest", lambda f: lambda value: f(value["method"])
    ),
    field=st.sampled_from(sorted(changes)),
)
def test_every_field_is_part_of_the_identity(field: str) -> None:
    first, second = (replace(TINY_BALANCE, **{field: value}) for value in changes[field])
    assert first.run_id.rsplit("-", 1)[1] != second.run_id.rsplit("-", 1)[1]
    assert config_module.RunConfig.from_json(first.to_json()) == first
    assert config_module.RunConfig.from_json(second.to_json()) == second
    assert set(changes) == {f.name for f in fields(RunConfig)}


def final_state(epochs: tuple[int, ...], folder: Path) -> dict[str, torch.Tensor]:
    """Weights after training in pieces, saved and loaded between them."""
    data = digits(40)
    aware = torch.arange(40) % 2 == 0
    config = replace(TINY, method="sharpbalance", rho=0.1, augment="crop-flip", sparsity=0.5, m=3)
    member = training.new_member(config, data, 1, CPU)
    for until in epochs:
        training.train(member, config, data, until, aware)
        training.save_member(folder / "member.safetensors", member, config.run_id)
        member = training.load_member(folder / "member.safetensors", config, data, 1, CPU)
    return member.model.state_dict()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("resume")


FOLDER = Path()


def without_momentum(function: Any) -> Any:
    return lambda path: ({k: v for k, v in function(path)[0].items() if "momentum." not in k}, function(path)[1])


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation("momentum lost", "sharpdiv.empirical.runs.member.load_tensors", without_momentum),
    Mutation(
        "order by the clock",
        "sharpdiv.empirical.runs.member.stream",
        lambda f: lambda *key: f(key[0], 1, len(list(FOLDER.iterdir()))),
    ),
    examples=3,
    cuts=st.sets(st.integers(1, 3)),
)
def test_resumed_training_ends_with_the_same_bits(cuts: set[int]) -> None:
    straight = final_state((4,), FOLDER)
    resumed = final_state((*sorted(cuts), 4), FOLDER)
    for path in FOLDER.iterdir():
        path.unlink()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    pieces = final_state((2, 4), FOLDER)
    assert all(torch.equal(straight[name], pieces[name]) for name in straight)


@law(
    Mutation(
        "marked for nobody",
        "sharpdiv.empirical.runs.member.sharpbalance_step",
        lambda f: lambda model, o, x, y, a, **options: f(model, o, x, y, 0 * a > 0, **options),
    ),
)
def test_methods_differ_only_in_the_samples_they_mark() -> None:
    """All samples marked is SAM: the same as a loop of SAM steps."""
    data = digits(40)
    config = replace(TINY, method="sam", rho=0.2)
    member, by_hand = (training.new_member(config, data, 1, CPU) for _ in range(2))
    training.train(member, config, data, 1, torch.ones(40, dtype=torch.bool))
    images = data.normalize(data.train_images)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(training.stream(1, 1, 0)))
    from sharpdiv.empirical.optim.running import frozen_running_statistics

    for index in order.split(10):

        def closure(index: torch.Tensor = index) -> torch.Tensor:
            by_hand.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(by_hand.model(images[index]), data.train_labels[index])
            loss.backward()
            return loss

        by_hand.optimizer.step(closure, frozen_running_statistics(by_hand.model))
    ours, theirs = member.model.state_dict(), by_hand.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert member.sam_samples == [40]


def everything(root: Path, config: RunConfig) -> dict[str, Any]:
    """What a run ends with, without wall times."""
    folder = run_folder(root, config)
    result = load_json(folder / "result.json")
    for record in result["provenance"]["trained"]:
        assert record.pop("seconds") > 0
    weights = {seed: load_tensors(folder / f"member-{seed}.safetensors") for seed in config.seeds}
    record = load_record(folder / "record.npz")
    for trained in record.summary["provenance"]["trained"]:
        assert trained.pop("seconds") > 0
    arrays = {name: value if isinstance(value, dict) else value.tolist() for name, value in vars(record).items()}
    return {
        "result": result,
        "record": arrays,
        "predictions": (folder / "predictions.npz").read_bytes(),
        "weights": {s: {n: t.tolist() for n, t in w[0].items()} for s, w in weights.items()},
    }


def reproduce(root: Path, *configs: RunConfig, workers: int = 1) -> None:
    train_runs(configs, root, workers=workers)
    measure_runs(configs, root, how=QUICK, workers=workers)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    reproduce(root, TINY, TINY_BALANCE)
    return root


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "lost",
    [
        ["member-1.safetensors"],
        ["member-2.safetensors", "member-2.json", "result.json", "measured-2.safetensors"],
        ["sets.safetensors", "member-1.safetensors", "member-2.safetensors"],
        ["result.json", "predictions.npz", "measured-1.safetensors"],
        ["record.npz"],
    ],
)
def test_what_an_interruption_loses_is_made_again_to_the_bit(finished: Path, tmp_path: Path, lost: list[str]) -> None:
    root = tmp_path / "runs"
    shutil.copytree(finished, root)
    for name in lost:
        (run_folder(root, TINY_BALANCE) / name).unlink()
    kept = run_folder(root, TINY) / "member-1.safetensors"
    before = kept.stat().st_mtime_ns
    reproduce(root, TINY, TINY_BALANCE)
    assert everything(root, TINY_BALANCE) == everything(finished, TINY_BALANCE)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.long
@pytest.mark.slow
def test_processes_give_the_same_bits_and_share_the_first_phase(finished: Path, tmp_path: Path) -> None:
    reproduce(tmp_path, TINY_BALANCE, workers=2)
    assert everything(tmp_path, TINY_BALANCE) == everything(finished, TINY_BALANCE)
    shared = sorted(p.name for p in run_folder(tmp_path, TINY).glob("*.safetensors"))
    assert shared == ["member-1-epoch2.safetensors", "member-2-epoch2.safetensors"]


@pytest.mark.parametrize(
    "name", ["config.json", "member-1.safetensors", "sets.safetensors", "measured-2.safetensors", "result.json"]
)
def test_a_damaged_file_is_named_and_nothing_else_lost(finished: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "runs"
    shutil.copytree(finished, root)
    path = run_folder(root, TINY_BALANCE) / name
    path.write_bytes(path.read_bytes()[:-20])
    # Whatever is not needed any more is not read; what is needed must be good.
    for needed in ("result.json", "measured-1.safetensors") if name != "result.json" else ():
        (run_folder(root, TINY_BALANCE) / needed).unlink(missing_ok=True)
    if name == "sets.safetensors":
        (run_folder(root, TINY_BALANCE) / "member-1.safetensors").unlink()
    others = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(StoreError, match=f"{name} is damaged"):
        reproduce(root, TINY, TINY_BALANCE)
    assert all(p.read_bytes() == content for p, content in others.items())


def test_members_of_other_images_are_refused(finished: Path, tmp_path: Path) -> None:
    """A data set that changed under the same name: neither trained on nor measured."""
    root = Path(shutil.copytree(finished, tmp_path / "runs"))
    path = run_folder(root, TINY) / "member-1.json"
    save_json(path, load_json(path) | {"data_sha256": "another"})
    for again in (
        lambda: train_runs([TINY], root, workers=1),
        lambda: measure_runs([TINY], root, how=OTHER, workers=1),
    ):
        with pytest.raises(StoreError, match="trained on other images of digits"):
            again()


def test_a_folder_of_another_run_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder(finished, TINY), tmp_path / "renamed")
    with pytest.raises(StoreError, match="not the run of its folder renamed"):
        open_run(tmp_path / "renamed")
    with pytest.raises(StoreError, match="does not exist"):
        open_run(tmp_path / "nothing")


def test_sam_steps_are_counted(finished: Path) -> None:
    counts = {
        c.method: load_json(run_folder(finished, c) / "result.json")["members"]["sam_samples"]
        for c in (TINY, TINY_BALANCE)
    }
    assert counts["sgd"] == [0, 0]
    assert all(0 < n <= 80 for n in counts["sharpbalance"])


def test_marks_that_never_apply_are_an_error() -> None:
    """One marked sample joins the others in every batch: no SAM step happens, and silence would be a lie."""
    data = digits(40)
    member = training.new_member(TINY_BALANCE, data, 1, CPU)
    with pytest.raises(DivergenceError, match="took no SAM step"):
        training.train(member, TINY_BALANCE, data, 1, torch.arange(40) == 0)


def test_divergence_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="diverged in epoch"):
        train_runs([replace(TINY, learning_rate=1e20)], tmp_path, workers=1)


def test_a_member_of_another_seed_or_size_is_refused(finished: Path) -> None:
    path = run_folder(finished, TINY) / "member-1.safetensors"
    data = digits(40)
    with pytest.raises(StoreError, match="seed"):
        training.load_member(path, TINY, data, 2, CPU)
    with pytest.raises(StoreError, match="expected network"):
        training.load_member(path, replace(TINY, width=3), data, 1, CPU, run=TINY.run_id)
    with pytest.raises(StoreError, match="is of run"):
        training.load_member(path, replace(TINY, width=3), data, 1, CPU)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ["member-1.safetensors", "sets.safetensors", "result.json"])
def test_files_of_another_run_are_refused(finished: Path, tmp_path: Path, name: str) -> None:
    root, other = tmp_path / "runs", replace(TINY_BALANCE, rho=0.3)
    shutil.copytree(finished, root)
    reproduce(root, TINY, other)
    folder = run_folder(root, other)
    shutil.copy(run_folder(root, TINY_BALANCE) / name, folder / name)
    if name != "result.json":
        (folder / "result.json").unlink()
    if name == "sets.safetensors":
        (folder / "member-1.safetensors").unlink()
    with pytest.raises(StoreError, match=f"{name} is"):
        reproduce(root, TINY, other)


def test_devices_that_are_not_there_are_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(InputError, match="use one of: cpu"):
        train_runs([TINY], tmp_path, device="cuda")


def test_the_digits() -> None:
    data = digits(200)
    assert data.train_images.shape == (200, 1, 16, 16)
    assert len(data.test_images) == 1597
    assert float(data.train_images.min()) == 0
    assert float(data.train_images.max()) == 255
    normal = data.normalize(data.train_images)
    assert float(normal.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normal.std()) == pytest.approx(1, abs=1e-5)
    assert not torch.equal(digits(200, split_seed=1).train_labels, data.train_labels)
    with pytest.raises(InputError, match="train samples"):
        digits(1797)


def test_a_last_sample_alone_joins_the_batch_before() -> None:
    data = digits(41)
    config = replace(TINY, train_samples=41, blocks=(1, 1, 1, 1, 1))  # 16x16 images end as 1x1 maps
    member = training.new_member(config, data, 1, CPU)
    training.train(member, config, data, 1, torch.zeros(41, dtype=torch.bool))
    assert member.epoch == 1
    with pytest.raises(InputError, match="workers"):
        train_runs([TINY], FOLDER, workers=0)


@pytest.mark.long
@pytest.mark.slow
def test_untyped_callers_get_typed_errors_and_one_identity() -> None:
    """In a process without shape checks, as users run it."""
    code = """
from sharpdiv import InputError, RunConfig
assert RunConfig("sgd", 0).run_id == RunConfig("sgd").run_id
assert RunConfig("sgd").switch_epoch == 30
for wrong in ({"method": "SAM", "rho": 0.1}, {"method": "sgd", "rule": "bogus"}, {"method": "sgd", "data": "imagenet"}):
    try:
        RunConfig(**wrong)
    except InputError as error:
        assert "must be one of" in str(error)
    else:
        raise AssertionError(wrong)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


@pytest.mark.long
@pytest.mark.slow
def test_compiled_training_takes_the_same_steps() -> None:
    """With a backend that compiles nothing, where no compiler is; in a process without shape checks (they cannot be traced)."""
    code = """
import torch
from sharpdiv import RunConfig, digits
from sharpdiv.empirical.runs import member as training
compile_, compiled = torch.compile, []
torch.compile = lambda model: compiled.append(model) or compile_(model, backend="eager")
data, weights = digits(40), []
for option in (True, False):
    config = RunConfig("sharpbalance", 0.1, train_samples=40, width=2, blocks=(1,), epochs=2, batch_size=20, compile=option)
    member = training.new_member(config, data, 1, torch.device("cpu"))
    training.train(member, config, data, 2, torch.arange(40) % 2 == 0)
    weights.append(torch.cat([p.detach().flatten() for p in member.model.parameters()]))
assert len(compiled) == 1
torch.testing.assert_close(*weights)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_bf16_training_is_close_to_float32() -> None:
    data, losses = digits(40), []
    for config in (replace(TINY_BALANCE, precision="bfloat16"), TINY_BALANCE):
        member = training.new_member(config, data, 1, CPU)
        training.train(member, config, data, 2, torch.arange(40) % 2 == 0)
        assert all(p.dtype == torch.float32 for p in member.model.parameters())
        losses.append(member.losses)
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # bfloat16 has 8 bits: 0.4% an operation, some ten of them
