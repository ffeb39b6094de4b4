"""Predictions in batches and on two processes against all at once."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed
from hypothesis import strategies as st
from torch.multiprocessing.spawn import spawn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.metrics import METRICS, Metric, diversity
from sharpdiv.empirical.predictions.streaming import EnsembleDiversity
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

pytest.importorskip("torchmetrics", reason="the extra torchmetrics is not installed")

PLACE = "sharpdiv.empirical.predictions.streaming"


def in_batches(probs: torch.Tensor, labels: torch.Tensor, size: int) -> EnsembleDiversity:
    metric = EnsembleDiversity(members=len(probs), classes=probs.shape[2])
    for some, truth in zip(probs.split(size, dim=1), labels.split(size), strict=True):
        metric.update(some, truth)
    return metric


@law(
    Mutation(
        "mean of the batches",
        f"{PLACE}.torch.bincount",
        lambda f: lambda wrong, minlength: f(wrong[:1], minlength=minlength),
    ),
    Mutation("never competent", f"{PLACE}.competent", lambda _: lambda wrong: len(wrong) == 0),
    Mutation(
        "the first point only",
        f"{PLACE}.point_statistics",
        lambda f: lambda p, y: f(p[:, :1].expand_as(p), y),
    ),
    size=st.integers(1, 40),
    **shapes,
)
def test_batches_are_as_good_as_all_at_once(size: int, seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    found, expected = in_batches(probs, labels, size).compute(), diversity(probs, labels)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Sums of at most 40 numbers of up to 28, in another order; ratios divide by errors of at least 1/200.
        assert found[name] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-11)), name


def test_used_as_a_metric_of_torchmetrics() -> None:
    """``forward`` gives the batch's own value, ``reset`` starts again, states of two metrics merge."""
    probs, labels = predictions(1, 3, 20, 4)
    metric = EnsembleDiversity(members=3, classes=4)
    assert metric(probs[:, :5], labels[:5])["disagreement"] == pytest.approx(
        diversity(probs[:, :5], labels[:5])["disagreement"]
    )
    metric(probs[:, 5:].numpy(), labels[5:].tolist())
    assert metric.compute()["kl"] == pytest.approx(diversity(probs, labels)["kl"])
    metric.reset()
    metric.half()  # leaves the states in double precision
    metric.update(probs[:, :5], labels[:5])
    assert metric.compute()["der"] == pytest.approx(diversity(probs[:, :5], labels[:5])["der"])
    both = in_batches(probs[:, :5], labels[:5], 2)
    both.merge_state(in_batches(probs[:, 5:], labels[5:], 4))
    assert both.compute()["nll_mean"] == pytest.approx(diversity(probs, labels)["nll_mean"])


def test_added_metrics_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "mine", Metric("mine", "mine", lambda probs, _: probs[0, :, 0]))
    probs, labels = predictions(1, 3, 20, 4)
    assert in_batches(probs, labels, 7).compute()["mine"] == pytest.approx(float(probs[0, :, 0].mean()))


def share(rank: int, store: str, seed: int) -> None:
    """One of two processes: its half of the samples, and the metrics of all."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    probs, labels = predictions(seed, 3, 21, 4)
    half = slice(rank * 8, 8 + rank * 13)
    found = in_batches(probs[:, half], labels[half], 5).compute()
    expected = diversity(probs, labels)
    torch.distributed.destroy_process_group()
    assert found == {name: pytest.approx(value, rel=1e-9) for name, value in expected.items()}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo's file store")
def test_processes_add_up(tmp_path: Path) -> None:
    spawn(share, args=(str(tmp_path / "store"), 3), nprocs=2)


def test_what_does_not_fit_is_refused() -> None:
    probs, labels = predictions(1, 3, 20, 4)
    metric = EnsembleDiversity(members=3, classes=4)
    with pytest.raises(InputError, match=r"probs must have shape \(3, samples, 4\), got \(2, 20, 4\)"):
        metric.update(probs[:2], labels)
    with pytest.raises(InputError, match="non-negative"):
        metric.update(-probs, labels)
    with pytest.raises(InputError, match="at least 2 members and 2 classes, got 1 and 4"):
        EnsembleDiversity(members=1, classes=4)


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_no_samples_have_no_metrics() -> None:
    with pytest.raises(InputError, match="no samples yet"):
        EnsembleDiversity(members=3, classes=4).compute()
