"""Record of a measured run: one small file from which every claim about trained ensembles is computed without training.

An ``.npz`` file that NumPy alone reads (arrays below, and the text ``summary``, a JSON object). Probabilities are kept as the
logarithm in steps of 1/64, as precise as a half-precision logit between 8 and 16, down to exp(-32); the negative log-likelihood on
corrupted images in half precision.
"""

import io
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpdiv.empirical.errors import NotMeasuredError, StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.store import digest, write_atomically

__all__ = ["DAMAGE", "SCHEMA", "Origin", "RunRecord", "Validation", "load_record", "save_record"]

SCHEMA = 1
"""Version of the file's layout."""
_STEPS = 64  # of a log-probability, in one nat
_FLOOR = 32 * _STEPS - 1
DAMAGE = (
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    OSError,
    EOFError,
    TokenError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What reading raises where a bit of the file has flipped."""


@dataclass(frozen=True)
class Origin:
    """Where a record comes from."""

    processor: str
    """name of the processor that measured"""
    instructions: str
    """instruction set of the processor"""
    code: tuple[tuple[str | None, str | None], ...]
    """protocol and commit of measuring, then of each member's training; None where it is not known"""


@dataclass(frozen=True)
class Validation:
    """Accuracy on images that were neither trained nor tested on."""

    members: tuple[float, ...]
    """accuracy of each member"""
    ensemble: float
    """accuracy of the mean probabilities"""


@dataclass(frozen=True)
class RunRecord:
    """What is kept of one measured ensemble. Properties and methods read the summary; nothing else does.

    Example: see ``train_runs``, which gets one by measuring, and ``load_record``.
    """

    summary: dict[str, Any]
    """content of the run's ``result.json``: configuration, measurement, provenance, members, metrics"""
    labels: Int[np.ndarray, " samples"]
    """classes of all test images, in the order of the data set"""
    predicted: Int[np.ndarray, "members samples"]
    """each member's class for every test image"""
    predicted_ensemble: Int[np.ndarray, " samples"]
    """class of the mean probabilities"""
    probs: Float[np.ndarray, "members first classes"] = field(repr=False)
    """probabilities for the first test images"""
    corrupted_wrong: Bool[np.ndarray, "members_and_ensemble variants corrupted"] = field(repr=False)
    """errors on the first test images under every corruption and severity; the ensemble is last"""
    corrupted_nll: Float[np.ndarray, "members_and_ensemble corrupted"] = field(repr=False)
    """negative log-likelihood of these images, mean over corruptions and severities, in nats"""

    @cached_property
    def config(self) -> RunConfig:
        """Configuration of the run."""
        return RunConfig.from_json(self._of("config"))

    @cached_property
    def key(self) -> str:
        """What tells the run from all others: a hash of its configuration as it was written."""
        return digest(self._of("config"))

    @property
    def origin(self) -> Origin:
        """Processor and code."""
        found = self._of("provenance")
        code = tuple((source.get("protocol"), source.get("commit")) for source in (found, *found["trained"]))
        return Origin(found["processor"], found["instructions"], code)

    @property
    def validation(self) -> Validation | None:
        """Accuracy on validation images; None if the run has none."""
        found = self._of("validation")
        return found and Validation(tuple(found["accuracy_members"]), found["accuracy_ensemble"])

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures of sharpness that were taken."""
        return tuple(self._of("members", "sharpness"))

    @property
    def images(self) -> dict[str, int]:
        """Number of training images that sharpness, and of test images that CKA was taken on."""
        how, trained = self._of("measure"), self.config.train_samples
        return {
            "sharpness": min(how["sharpness_samples"], trained or how["sharpness_samples"]),
            "CKA": min(how["feature_samples"], self.predicted.shape[1]),
        }

    @property
    def first_measure(self) -> str:
        """The measure of sharpness that was asked for first, which claims are about."""
        return str(self._of("measure", "sharpness")[0])

    def sharpness(self, measure: str) -> tuple[float, ...]:
        """Sharpness of each member.

        Args:
            measure: Key of ``MEASURES``.

        Returns:
            Values by one measure.

        Raises:
            NotMeasuredError: if it was not taken.
        """
        return tuple(self._of("members", "sharpness", measure))

    def of_members(self, name: str) -> tuple[float, ...]:
        """A number of each member.

        Args:
            name: One of ``OF_MEMBERS``.

        Returns:
            Its values.

        Raises:
            NotMeasuredError: if it is not there.
        """
        return tuple(map(float, self._of("members", name)))

    def metric(self, name: str) -> float:
        """A metric of the ensemble on the images of the split.

        Args:
            name: Key of what ``diversity`` gives, but for lists.

        Returns:
            Its value.

        Raises:
            NotMeasuredError: if it is not there.
        """
        return float(self._of("metrics", name))

    def by_size(self, metric: str, *, corrupted: bool = False) -> tuple[float, ...]:
        """A metric of ensembles of the first members.

        Args:
            metric: ``ece``, ``nll`` or another that ``by_size`` gives.
            corrupted: whether it is taken on corrupted images.

        Returns:
            A value for each size.

        Raises:
            NotMeasuredError: if it is not there.
        """
        return tuple(self._of("corrupted_by_size" if corrupted else "by_size", metric))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the ensembles that ``by_size`` is about."""
        return tuple(self._of("by_size", "size"))

    @property
    def settings(self) -> dict[str, Any] | None:
        """Settings of the measurement, as JSON values; None if they are not known."""
        return self.summary.get("measure")

    def measured_as(self, how: MeasureConfig) -> bool:
        """Whether it was measured with some settings.

        Args:
            how: Settings.

        Returns:
            False if one differs.
        """
        return self.settings == how.to_json()

    def measured_otherwise_than(self, other: "RunRecord") -> list[str]:
        """Settings of the measurement in which two records differ.

        Args:
            other: Another record.

        Returns:
            Their names, in order.
        """
        mine, theirs = self.settings or {}, other.settings or {}
        return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))

    def numbers(self) -> dict[str, float]:
        """Numbers of the run that fit a table; all else is in ``to_json``.

        Returns:
            Metrics, means of the members' sharpness and training accuracy, CKA by stage, accuracy under corruption.
        """
        corrupted = self._of("corrupted").values()
        members = self._of("members")
        return {
            **{name: value for name, value in self._of("metrics").items() if not isinstance(value, list)},
            **{f"sharpness_{name}": float(np.mean(values)) for name, values in members["sharpness"].items()},
            **{f"cka_{name}": value for name, value in self._of("cka").items()},
            "train_accuracy": float(np.mean(members["train_accuracy"])),
            "corrupted_accuracy_mean": float(np.mean([kind["accuracy_mean"] for kind in corrupted])),
            "corrupted_accuracy_ensemble": float(np.mean([kind["accuracy_ensemble"] for kind in corrupted])),
        }

    def to_json(self) -> dict[str, Any]:
        """Configuration, measurement, provenance, members, metrics: the content of ``result.json``.

        Returns:
            JSON values.
        """
        return self.summary

    def cka(self) -> float:
        """CKA of the members' features behind the last stage.

        Returns:
            Mean over pairs.

        Raises:
            NotMeasuredError: if it is not there.
        """
        stages = sorted(
            self._of("cka"), key=lambda name: int(name.rpartition(".")[2])
        )  # the eleventh comes behind the tenth
        return self._of("cka", stages[-1] if stages else "stage")

    def _of(self, *names: str) -> Any:
        value: Any = self.summary
        for name in names:
            if name not in value:
                raise NotMeasuredError(f"{' '.join(names)} was not measured here")
            value = value[name]
        return value


def save_record(path: Path, record: RunRecord) -> None:
    """Write a record atomically.

    Args:
        path: path of the file, ``.npz``.
        record: record to write; its probabilities are rounded.

    Example: see ``load_record``.
    """
    logs = np.log(np.maximum(record.probs, np.exp(-_FLOOR / _STEPS)))
    codes = np.minimum(np.rint(-logs * _STEPS), _FLOOR).astype("<u2")
    arrays = {
        "schema": np.array(SCHEMA),
        "summary": np.array(json.dumps(record.summary, sort_keys=True, separators=(",", ":"), allow_nan=False)),
        "labels": _small(record.labels),
        "predicted": _small(record.predicted),
        "predicted_ensemble": _small(record.predicted_ensemble),
        # Low and high bytes apart: the high ones repeat and shrink.
        "log_probs_low": (codes & 255).astype(np.uint8),
        "log_probs_high": (codes >> 8).astype(np.uint8),
        "corrupted_wrong": np.packbits(record.corrupted_wrong, axis=-1),
        "corrupted_nll": record.corrupted_nll.astype("<f2"),
    }
    write_atomically(path, _npz(arrays))


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """An ``.npz`` file by LZMA, which NumPy reads, too: a tenth smaller than by the deflate of ``savez_compressed``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            # The entry's own date is that of 1980, so that equal records are equal files.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_LZMA)
    return packed.getvalue()


def load_record(path: Path) -> RunRecord:
    """Read what ``save_record`` wrote.

    Args:
        path: path of the file, ``.npz``.

    Returns:
        The record; probabilities sum to one.

    Raises:
        StoreError: if the file is missing, damaged, or has another layout than this version reads.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sharpdiv import RunRecord, load_record
        >>> from sharpdiv.empirical.runs.record import save_record
        >>> some = {"probs": np.full((2, 1, 2), 0.5), "corrupted_wrong": np.ones((3, 5, 1), bool), "corrupted_nll": np.ones((3, 1))}
        >>> record = RunRecord({"measure": {"draws": 20}}, np.array([1]), np.array([[0], [1]]), np.array([1]), **some)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_record(Path(folder) / "record.npz", record)
        ...     load_record(Path(folder) / "record.npz").settings
        {'draws': 20}
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "schema" not in stored.files:
                raise StoreError(
                    f"{path} is not the record of a run, which sharpdiv measure writes as record.npz; predictions are what "
                    "sharpdiv metrics reads"
                )
            if (schema := int(stored["schema"])) != SCHEMA:
                raise StoreError(
                    f"{path} has layout {schema}, this version reads {SCHEMA}; use the version that wrote it"
                )
            summary = json.loads(str(stored["summary"]))
            codes = stored["log_probs_low"] + 256.0 * stored["log_probs_high"]
            nll = stored["corrupted_nll"].astype(float)
            wrong = np.unpackbits(stored["corrupted_wrong"], axis=-1, count=nll.shape[1]).astype(bool)
            whole = {name: stored[name].astype(np.int64) for name in ("labels", "predicted", "predicted_ensemble")}
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except StoreError:
        raise
    except DAMAGE as error:
        raise StoreError(f"{path} is not a whole record of a run ({error}); delete it and measure again") from error
    probs = np.exp(-codes / _STEPS)
    probs /= probs.sum(axis=2, keepdims=True)
    return RunRecord(summary, **whole, probs=probs, corrupted_wrong=wrong, corrupted_nll=nll)


def _small(values: np.ndarray) -> np.ndarray:
    """Classes in as few bytes as they take."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
