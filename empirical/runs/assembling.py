"""From the measurements of a run's members to its files: metrics of the whole ensemble, its predictions and its record."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sharpdiv.empirical.data.corruptions import SEVERITIES
from sharpdiv.empirical.data.splits import TEST_ORDER
from sharpdiv.empirical.predictions.bootstrap import bootstrap
from sharpdiv.empirical.predictions.metrics import Metrics, diversity, logit_variance
from sharpdiv.empirical.predictions.representation import member_cka
from sharpdiv.empirical.predictions.scores import nll, of_truth
from sharpdiv.empirical.predictions.sizes import by_size
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import run_folder, training_record
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measure_member import OF_MEMBERS, accuracy
from sharpdiv.empirical.runs.measured_images import corrupted_images, images_of_split, run_data
from sharpdiv.empirical.runs.record import RunRecord, save_record
from sharpdiv.empirical.store import load_tensors, save_json, write_atomically

__all__ = ["assemble"]

Measured = list[dict[str, Tensor]]
"""what was measured of each member, by name"""


def assemble(root: Path, config: RunConfig, how: MeasureConfig, device: torch.device) -> None:
    """Write ``record.npz``, ``predictions.npz`` and at last ``result.json`` of a run whose members are measured.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        how: settings that the members were measured with.
        device: device that they were measured on.

    Example: see ``train_runs``: ``measure_runs`` calls it.
    """
    folder = run_folder(root, config)
    data = run_data(config)
    labels = images_of_split(data, how)[1]
    measured = [load_tensors(folder / f"measured-{seed}.safetensors")[0] for seed in config.seeds]
    corrupted = torch.stack([m["corrupted_probs"] for m in measured]).double()
    logits = torch.stack([m["logits"] for m in measured]).double()
    probs = logits.softmax(dim=2)
    names, _, corrupted_labels = corrupted_images(config, how, root)
    result = {
        "config": config.to_json(),
        "measure": how.to_json(),
        "provenance": {
            **provenance(device),
            "data_sha256": data.source,
            "test_order": TEST_ORDER,
            "trained": [training_record(root, config, seed) for seed in config.seeds],
        },
        **_on_images(probs, labels, how),
        **_of_members(measured, config, how),
        **_on_corrupted(names, corrupted, corrupted_labels),
    }
    result["metrics"] |= {"logit_variance": logit_variance(logits)}
    result["validation"] = _held_out(torch.stack([m["validation_logits"] for m in measured]), data.validation_labels)
    (folder / "result.json").unlink(missing_ok=True)  # it says that the others are of one measurement, and comes last
    save_record(folder / "record.npz", _record(result, how, probs, labels, corrupted, corrupted_labels))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probs=probs.numpy(), logits=logits.numpy(), labels=labels.numpy())
    write_atomically(folder / "predictions.npz", buffer.getvalue())
    save_json(folder / "result.json", result)


def _on_images(probs: Tensor, labels: Tensor, how: MeasureConfig) -> dict[str, Any]:
    """Metrics on the images of the split, with their intervals."""
    intervals = bootstrap(probs, labels, how.replicates)
    return {
        "metrics": diversity(probs, labels),
        "intervals": {name: [value.low, value.high] for name, value in intervals.items()},
        "by_size": by_size(probs, labels),
    }


def _of_members(measured: Measured, config: RunConfig, how: MeasureConfig) -> dict[str, Any]:
    """Numbers of each member, and how alike members are inside."""
    features = [name for name in measured[0] if name.startswith("features.")]
    return {
        "cka": {name.removeprefix("features."): member_cka([m[name] for m in measured]) for name in features},
        "members": {
            "seed": list(config.seeds),
            "sharpness": {name: [float(m[f"sharpness.{name}"][0]) for m in measured] for name in how.sharpness},
            "sharpness_stderr": {name: [float(m[f"sharpness.{name}"][1]) for m in measured] for name in how.sharpness},
            **{name: [m[name].item() for m in measured] for name in OF_MEMBERS},
        },
    }


def _record(
    result: dict[str, Any],
    how: MeasureConfig,
    probs: Float[Tensor, "members samples classes"],
    labels: Int[Tensor, " samples"],
    corrupted: Float[Tensor, "members corruptions some classes"],
    corrupted_labels: Int[Tensor, " some"],
) -> RunRecord:
    """What claims are computed from."""
    with_ensemble = torch.cat([corrupted, corrupted.mean(dim=0, keepdim=True)])
    return RunRecord(
        result,
        labels.numpy(),
        probs.argmax(dim=2).numpy(),
        probs.mean(dim=0).argmax(dim=1).numpy(),
        probs[:, : how.stored_samples].numpy(),
        _errors(with_ensemble, corrupted_labels).numpy(),
        nll(of_truth(with_ensemble, corrupted_labels)).mean(dim=1).numpy(),
    )


def _on_corrupted(names: Sequence[str], probs: Tensor, labels: Tensor) -> dict[str, Any]:
    """Metrics on corrupted images, of probabilities ``(members, corruptions and severities, samples, classes)``."""
    probs = probs.unflatten(1, (len(names), len(SEVERITIES)))
    return {
        "corrupted": {
            name: _by_severity([diversity(level, labels) for level in probs[:, kind].unbind(dim=1)])
            for kind, name in enumerate(names)
        },
        "corrupted_by_size": by_size(probs.flatten(1, 3), labels.repeat(len(names) * len(SEVERITIES))),
    }


def _by_severity(levels: list[Metrics]) -> dict[str, list[Any]]:
    """A list over severities for each metric but the list of members, to six digits: all else would swell the results."""
    return {name: [_six_digits(level[name]) for level in levels] for name in levels[0] if name != "accuracy_members"}


def _six_digits(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _held_out(
    logits: Float[Tensor, "members samples classes"], labels: Int[Tensor, " samples"]
) -> dict[str, Any] | None:
    """What is chosen by: accuracy on images that were neither trained nor tested on; None if the run has none."""
    if not len(labels):
        return None
    ensemble = logits.double().softmax(dim=2).mean(dim=0)
    return {
        "samples": len(labels),
        "accuracy_members": [accuracy(each, labels).item() for each in logits],
        "accuracy_ensemble": accuracy(ensemble, labels).item(),
        "nll_ensemble": nll(of_truth(ensemble, labels)).mean().item(),
    }


def _errors(
    probs: Float[Tensor, "*axes samples classes"], labels: Int[Tensor, " samples"]
) -> Bool[Tensor, "*axes samples"]:
    return probs.argmax(dim=-1) != labels
