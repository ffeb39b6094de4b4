"""What is read from a folder of results: every run once, whole blocks only, and nothing that was not measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.checks.kernels.dials import Network
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.empirical.runs.record import RunRecord, load_record, save_record
from sharpdiv.empirical.store import save_json
from sharpdiv.paths import RESULTS
from tests.checks.fake_dial import FRACTIONS, STEPS, fake_network
from tests.checks.planted import planted_records
from tests.laws import Mutation, law

DIGITS = DESIGNS["digits"]
RECORDS = planted_records(DIGITS, 3)


def evidence(records: Sequence[RunRecord]) -> Evidence:
    return Evidence(tuple(records))


def without(block: int, name: str) -> list[RunRecord]:
    """Records of three blocks but one."""
    return [r for place, each in enumerate(RECORDS) for key, r in each.items() if (place, key) != (block, name)]


@law(
    Mutation(
        "every block", "sharpdiv.checks.evidence.Evidence.blocks", lambda _: lambda self, design: design.blocks[:3]
    ),
)
def test_only_whole_blocks_enter() -> None:
    everything = without(9, "")
    assert evidence(everything).blocks(DIGITS) == DIGITS.blocks[:3]
    for name in DIGITS.conditions:
        found = evidence(without(1, name))
        assert found.blocks(DIGITS) == (DIGITS.blocks[0], DIGITS.blocks[2])
        study = found.study(DIGITS)
        assert study is not None
        assert study.blocks == 2
        seeds = [[r.summary["config"]["seeds"] for r in c.blocks] for c in study.conditions.values()]
        assert seeds == [[[1004, 1005, 1006], [1010, 1011, 1012]]] * len(DIGITS.conditions)


def test_one_block_is_no_study() -> None:
    alone = evidence(list(RECORDS[0].values()))
    assert alone.blocks(DIGITS) == DIGITS.blocks[:1]
    assert alone.study(DIGITS) is None
    assert Evidence().study(DIGITS) is None
    assert not Evidence().blocks(DIGITS)


@law(
    Mutation(
        "as they come",
        "sharpdiv.checks.evidence.Evidence.study",
        lambda f: lambda self, design: f(self, replace(design, blocks=design.blocks[::-1])),
    ),
)
def test_the_order_of_records_does_not_matter() -> None:
    forward, backward = (evidence(order).study(DIGITS) for order in (without(9, ""), without(9, "")[::-1]))
    assert forward is not None
    assert backward is not None
    for name in DIGITS.conditions:
        pairs = zip(forward.conditions[name].blocks, backward.conditions[name].blocks, strict=True)
        assert all(a is b for a, b in pairs)
        assert [r.summary["config"]["seeds"] for r in backward.conditions[name].blocks] == [
            list(block) for block in DIGITS.blocks[:3]
        ]


def test_runs_of_other_designs_and_of_none_do_not_enter() -> None:
    strange = RECORDS[0]["sam-mid"]
    config = strange.summary["config"] | {"rho": 0.7}
    others = [replace(strange, summary=strange.summary | {"config": config})]
    found = evidence([*others, *without(9, "")])
    assert found.blocks(DIGITS) == DIGITS.blocks[:3]
    assert not found.blocks(DESIGNS["fashion-mnist"])
    study, expected = found.study(DIGITS), evidence(without(9, "")).study(DIGITS)
    assert study is not None
    assert expected is not None
    assert np.array_equal(study.mean("sam-mid", "D", "seeds"), expected.mean("sam-mid", "D", "seeds"))


def test_a_study_is_made_once() -> None:
    """Tables are kept with it."""
    found = evidence(without(9, ""))
    assert found.study(DIGITS) is found.study(DIGITS)


# --------------------------------------------------------------------------------------------------------------- folders


def test_records_at_any_depth_and_results_at_the_top_are_read(tmp_path: Path) -> None:
    for place, (name, record) in enumerate(list(RECORDS[0].items())[:3]):
        save_record(tmp_path / "digits" / ("deep" if place else "") / f"{name}.npz", record)
    networks = [fake_network({1.0: (0.2, 0.5)}, network=Network(width=width)) for width in (8, 16)]
    settings = {"fractions": FRACTIONS, "snapshots": STEPS}
    save_json(tmp_path / "dial.json", {"dial": {**settings, "members": 6}, "networks": [networks[0].to_json()]})
    save_json(
        tmp_path / "dial-quick.json",
        {"dial": {**settings, "members": 3}, "networks": [network.to_json() for network in networks]},
    )
    compared = KernelComparison({"data": "digits", "width": 8}, {}, {}, 80, 0.91, 0.9, "worst_l2", ())
    save_json(tmp_path / "comparison.json", {**vars(compared), "training_accuracy": {"run": 0.9, "predicted": 0.91}})
    save_json(tmp_path / "protocol.json", {"protocol": {}})
    found = load_evidence(tmp_path)
    assert len(found.records) == 3
    # Of a network that is in both dials the longer one's.
    assert {(n.name, n.members) for n in found.networks} == {("relu-none-8", 6), ("relu-none-16", 3)}
    assert found.comparisons == (compared,)


def test_nothing_is_no_evidence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        found = load_evidence(folder)
        assert (found.records, found.networks, found.comparisons) == ((), (), ())


def _refusal(folder: Path) -> str:
    """Why a folder cannot be read; empty if it can."""
    try:
        load_evidence(folder)
    except StoreError as error:
        return str(error)
    return ""


@law(
    Mutation(
        "runs told apart by their place",
        "sharpdiv.empirical.runs.record.digest",
        lambda f: lambda value: f([value, id(value)]),
    ),
)
def test_a_run_that_is_there_twice_is_refused() -> None:
    with TemporaryDirectory() as folder:
        for name in ("first", "second"):
            save_record(Path(folder) / name / "record.npz", RECORDS[0]["sgd"])
        assert "are of one run; remove one of them" in _refusal(Path(folder))
        save_record(Path(folder) / "second" / "record.npz", RECORDS[1]["sgd"])
        assert _refusal(Path(folder)) == ""


def test_what_was_not_measured_is_refused(tmp_path: Path) -> None:
    save_json(tmp_path / "other.json", {"runs": []})
    assert "other.json holds nothing that was measured" in _refusal(tmp_path)
    other_layouts: list[dict[str, Any]] = [{"points": []}, {"networks": [{}], "dial": {}}, {"networks": 3, "dial": {}}]
    for damaged in other_layouts:
        save_json(tmp_path / "other.json", damaged)
        assert "other.json is not of a layout that this version reads" in _refusal(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    assert "has no checksum" in _refusal(tmp_path)
    (tmp_path / "other.json").unlink()
    np.savez(tmp_path / "predictions.npz", probs=np.ones(3))
    assert "is not the record of a run" in _refusal(tmp_path)


# --------------------------------------------------------------------------------------------------------------- records


def test_what_is_estimated_from_a_stored_record_is_what_was_measured(tmp_path: Path) -> None:
    """Log-probabilities are rounded to half of 1/64 and divided by their sum: D to 1/32 of itself at most, errors exactly."""
    for block in RECORDS:
        for name, record in block.items():
            save_record(tmp_path / f"{name}-{record.summary['config']['seeds'][0]}.npz", record)
    stored, exact = load_evidence(tmp_path).study(DIGITS), evidence(without(9, "")).study(DIGITS)
    assert stored is not None
    assert exact is not None
    for quantity, tolerance in (("member error", 0.0), ("disagreement", 0.0), ("block error", 0.0), ("D", 1 / 32)):
        found, expected = (study.mean("sam-mid", quantity, "blocks") for study in (stored, exact))
        assert found == pytest.approx(expected, rel=tolerance or 1e-12)
    assert np.abs(stored.mean("sgd", "NLL", "seeds") - exact.mean("sgd", "NLL", "seeds")).max() < 1 / 64


def test_three_members_on_ten_thousand_images_take_less_than_a_megabyte_and_a_half(tmp_path: Path) -> None:
    """Networks that interpolate are sure of most images; the largest record is kept in the repository 288 times."""
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=10_000)
    logits = 12 * np.eye(10)[labels] + 2 * generator.standard_normal((3, 10_000, 10))
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    wrong = generator.random((4, 95, 2000)) < 0.3
    record = RunRecord(
        RECORDS[0]["sgd"].summary,
        labels,
        probs.argmax(axis=2),
        probs.mean(axis=0).argmax(axis=1),
        probs,
        wrong,
        generator.exponential(size=(4, 2000)),
    )
    path = tmp_path / "record.npz"
    save_record(path, record)
    assert path.stat().st_size < 1.5e6
    found = load_record(path)
    steps = np.abs(np.log(found.probs) - np.log(probs))
    # Half a step of rounding, and at most as much when all classes are divided by their sum.
    assert steps.max() <= 1 / 64 + 1e-9
    assert np.array_equal(found.corrupted_wrong, wrong)


def test_the_committed_results_stay_small() -> None:
    """Below 40 MB in all and 1.5 MB a file: a clone fetches them, and their history."""
    sizes = {path.name: path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 40e6
    assert {name for name, size in sizes.items() if size > 1.5e6} == set()


@law(
    Mutation("steps of 1/32", "sharpdiv.empirical.runs.record.np.rint", lambda f: lambda x: 2 * f(x / 2)),
)
def test_codes_are_within_half_a_step() -> None:
    """Read by NumPy alone, before classes are divided by their sum."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "record.npz"
        save_record(path, RECORDS[0]["sgd"])
        with np.load(path) as stored:
            logs = -(stored["log_probs_low"] + 256.0 * stored["log_probs_high"]) / 64
        assert np.abs(logs - np.log(RECORDS[0]["sgd"].probs)).max() <= 1 / 128 + 1e-12
