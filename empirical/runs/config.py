"""What one ensemble is: a frozen configuration that is the command line, the JSON record and the identity of a run."""

import json
import math
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sharpdiv.empirical.data.datasets import dataset_named
from sharpdiv.empirical.data.splits import Augmentation
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.methods import METHODS, Treated, method_named
from sharpdiv.empirical.optim.sharpbalance import Rule
from sharpdiv.empirical.store import digest, write_atomically

__all__ = ["Precision", "RunConfig", "read_fields", "write_config"]

Schedule = Literal["step", "one-cycle"]
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class RunConfig:
    """One ensemble. Defaults are the quick profile on the digits; seeds, rate, momentum and schedule are the paper's.

    Raises:
        InputError: if a number is outside its domain or does not fit the method; the message names it.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> config = RunConfig("sam", rho=0.1, epochs=40)
        >>> config.run_id.rsplit("-", 1)[0], config.plain.method  # the id ends in a hash of all fields
        ('digits-sam-rho0.1', 'sgd')
        >>> RunConfig("sam", rho=0.1) == RunConfig("sam", rho=0.1, switch_epoch=30)  # half of 60 epochs unless given
        True
    """

    method: str
    """sgd, sam, sharpbalance, or another that is registered"""
    rho: float = 0.0
    """SAM's rho, the length of its ascent; 0 for sgd, positive otherwise"""
    adaptive: bool = False
    """whether the ascent is scaled by the magnitude of each weight (ASAM)"""
    m: int | None = None
    """number of images that share one ascent (m-sharpness, Foret et al. 2021); the whole batch unless given"""
    seeds: tuple[int, ...] = (13, 17, 27)
    """seeds of the members, one each: of initialisation, data order and augmentation"""
    data: str = "digits"
    """name of the data set"""
    train_samples: int | None = 200
    """number of training images; None for all but those held out"""
    validation_samples: int = 0
    """number of images held out of the training set, for choosing hyperparameters"""
    split_seed: int = 0
    """seed of the split"""
    augment: Augmentation = "none"
    """kind of augmentation: none, horizontal flips, or random crops after padding by 4 pixels and flips"""
    width: int = 8
    """channels of the first stage of the residual network"""
    blocks: tuple[int, ...] = (1, 1, 1)
    """residual blocks in each stage, each stage twice as wide as the one before; 2 2 2 2 is ResNet-18, 3 4 6 3 ResNet-34"""
    stem_stride: int | None = None
    """stride of the first convolution; unless given 2 for images of 64 pixels or more, 1 for smaller ones"""
    sparsity: float = 0.0
    """fraction of the convolutions' weights that is fixed at 0, the smallest at initialisation"""
    epochs: int = 60
    """passes over the training images"""
    batch_size: int = 50
    """number of images in a step"""
    learning_rate: float = 0.1
    """largest rate"""
    schedule: Schedule = "step"
    """the rate over time: divided by 10 at 1/2 and at 3/4 of the epochs, or one cycle (Smith and Topin 2018, as in PyTorch)"""
    momentum: float = 0.9
    """momentum of SGD"""
    weight_decay: float = 5e-3
    """weight decay of SGD; the paper has 5e-4 for 200 epochs of CIFAR, too little to act within the 240 steps of this profile"""
    clip_norm: float | None = None
    """largest norm of the gradient that the step descends (not of the ascent's); None to leave it"""
    precision: Precision = "float32"
    """precision of the passes: float32 as IEEE has it, with factors rounded to tf32 where a GPU does that, or bfloat16 by autocast,
    with weights, momentum and norms' statistics in float32"""
    compile: bool = False
    """whether passes are compiled with torch.compile: other bits, faster on long runs"""
    first_phase: str = "sgd"
    """method by which SharpBalance trains until the exchange: sgd, or sam on all samples as in the authors' code"""
    switch_epoch: int | None = None
    """T_d: epochs before SharpBalance exchanges sharpness scores; half of the epochs unless given, one more in the authors' code"""
    top_fraction: float = 0.5
    """k: fraction of a member's sharpest samples that the others treat with SAM"""
    rule: Rule = "paper"
    """rule by which SharpBalance forms its sets"""

    def __post_init__(self) -> None:
        known_values = {
            "rule": Rule,
            "precision": Precision,
            "augment": Augmentation,
            "schedule": Schedule,
        }
        for name, known in known_values.items():
            if getattr(self, name) not in get_args(known):
                raise InputError(f"{name} must be one of {', '.join(get_args(known))}; got {getattr(self, name)!r}")
        self._normalize()
        self._check_ranges()
        dataset_named(self.data)
        self._check_method()
        self._check_seeds()
        if not 0 <= self.switch < self.epochs:
            raise InputError(f"switch_epoch must lie between 0 and {self.epochs - 1}, got {self.switch_epoch}")

    def _check_method(self) -> None:
        """Options that belong to some methods only."""
        method = method_named(self.method)
        if self.first_phase not in METHODS or METHODS[self.first_phase].treated == Treated.SETS:
            known = [each.name for each in METHODS.values() if each.treated != Treated.SETS]
            raise InputError(f"first_phase must be one of {', '.join(known)}; got {self.first_phase!r}")
        if self.first_phase != "sgd" and method.treated != Treated.SETS:
            raise InputError(f"first_phase belongs to {_all(Treated.SETS)}, which {self.method} is not; leave it out")
        if method.ascends == (self.rho == 0):
            raise InputError(
                f"rho must be 0 for {_all(Treated.NONE)} and positive for {_all(Treated.ALL, Treated.SETS)}, got {self.method} "
                f"with {self.rho}"
            )
        if not method.ascends and (self.adaptive or self.m):
            raise InputError(f"adaptive and m belong to an ascent, which {self.method} does not have; leave them out")

    def _check_seeds(self) -> None:
        """What generators can be seeded with, and members of their own."""
        if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InputError(f"an ensemble needs at least 2 different non-negative seeds, got {self.seeds}")
        if self.split_seed >= 2**63:
            raise InputError(f"split_seed must have 63 bits at most, got {self.split_seed}")

    def _check_ranges(self) -> None:
        """Ranges of the numbers, each by itself."""
        smallest = {
            "train_samples": 2,
            "validation_samples": 0,
            "split_seed": 0,
            "m": 2,
            "width": 1,
            "stem_stride": 1,
            "epochs": 1,
            "batch_size": 2,
        }
        for name, minimum in smallest.items():
            if (value := getattr(self, name)) is not None and value < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {value}")
        if not self.blocks or min(self.blocks) < 1:
            raise InputError(f"blocks must give at least 1 block for at least 1 stage, got {self.blocks}")
        for name in ("rho", "momentum", "weight_decay"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name} must be finite and non-negative, got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if (value := getattr(self, name)) is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be finite and positive, got {value}")
        if not 0 < self.top_fraction < 1:
            raise InputError(f"top_fraction must lie strictly between 0 and 1, got {self.top_fraction}")
        if not 0 <= self.sparsity < 1:
            raise InputError(f"sparsity must lie in [0, 1), got {self.sparsity}")

    def _normalize(self) -> None:
        """Fill in T_d, and make equal configurations the same run, however their numbers were written."""
        for name in ("rho", "sparsity", "learning_rate", "momentum", "weight_decay", "clip_norm", "top_fraction"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, float(value))
        # A file of options says what was given: half of other epochs is another number.
        object.__setattr__(self, "_derived", frozenset({"switch_epoch"} if self.switch_epoch is None else ()))
        if self.switch_epoch is None:
            object.__setattr__(self, "switch_epoch", self.epochs // 2)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunConfig":
        """Configuration of a stored run.

        Args:
            value: all fields, as ``to_json`` gives them.

        Returns:
            The configuration.

        Raises:
            InputError: if fields are missing, unknown or invalid.
        """
        value = _upgraded(value)
        try:
            if missing := set(cls.__dataclass_fields__) - set(value):
                raise InputError(f"not a run's configuration: it lacks {', '.join(sorted(missing))}")
            return cls(**{**value, "seeds": tuple(value["seeds"]), "blocks": tuple(value["blocks"])})
        except TypeError as error:
            raise InputError(f"not a run's configuration: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values.

        Returns:
            What ``from_json`` takes.
        """
        return {**asdict(self), "seeds": list(self.seeds), "blocks": list(self.blocks)}

    @property
    def run_id(self) -> str:
        """Readable name that ends in a hash of every field."""
        radius = f"-rho{self.rho:g}" if METHODS[self.method].ascends else ""
        return f"{self.data}-{self.method}{radius}-{digest(self.to_json())[:12]}"

    @property
    def plain(self) -> "RunConfig":
        """The SGD ensemble of the same networks, seeds and schedule."""
        return self._by("sgd")

    @property
    def start(self) -> "RunConfig":
        """The ensemble of the same seeds whose training up to ``switch_epoch`` this one shares: its own, or its first phase's."""
        return self._by(self.first_phase if METHODS[self.method].treated == Treated.SETS else self.method)

    def _by(self, method: str) -> "RunConfig":
        """The ensemble of the same networks, seeds and schedule by a method without sets, at the same rho if it has one."""
        of_sets, of_ascent = ("top_fraction", "rule", "first_phase"), ("rho", "adaptive", "m")
        unused = of_sets if METHODS[method].ascends else of_sets + of_ascent
        return replace(self, method=method, **{name: getattr(RunConfig, name) for name in unused})

    @property
    def switch(self) -> int:
        """T_d as a number."""
        return self.epochs // 2 if self.switch_epoch is None else self.switch_epoch

    def learning_rate_at(self, epoch: float) -> float:
        """The schedule: a pure function of the time, so that resuming needs no scheduler state.

        Args:
            epoch: number of epochs done, with the fraction of the one that is going on.

        Returns:
            For ``step`` the rate, divided by 10 from the epoch at 1/2 and again from that at 3/4 of the epochs on. For
            ``one-cycle`` that of PyTorch's OneCycleLR with its defaults: a cosine from 1/25 of the rate up to it over the first
            30% of the steps, and one down to 1/250,000 of it.
        """
        if self.schedule == "step":
            whole = int(epoch)
            return self.learning_rate * 0.1 ** ((2 * whole >= self.epochs) + (4 * whole >= 3 * self.epochs))
        done = epoch / self.epochs
        low, high, share = self.learning_rate / 25, self.learning_rate, done / _WARM
        if done > _WARM:
            low, high, share = self.learning_rate, self.learning_rate / 25e4, (done - _WARM) / (1 - _WARM)
        return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def _all(*kinds: Treated) -> str:
    """Names of the methods of some kinds."""
    return " and ".join(method.name for method in METHODS.values() if method.treated in kinds)


_WARM = 0.3
"""Share of one cycle in which the rate rises."""


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as this version has them, of a configuration that an earlier one wrote."""
    return {"stem_stride": None, "schedule": "step", "first_phase": "sgd"} | _renamed(fields)


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Values as this version calls them: ``augment`` was true or false."""
    augment = fields.get("augment")
    return fields | {"augment": "crop-flip" if augment else "none"} if isinstance(augment, bool) else fields


_NONE = "none"
"""How a file writes None, which TOML does not have."""


def read_fields(path: Path) -> dict[str, Any]:
    """Fields of a configuration from a ``.toml`` or ``.json`` file; a run's own ``config.json`` is one.

    Args:
        path: path of the file.

    Returns:
        The fields it names, None where it says ``"none"``.

    Raises:
        InputError: if the file is neither, is malformed, or names a field that does not exist.

    Example: see ``write_config``.
    """
    if path.suffix not in {".toml", ".json"}:
        raise InputError(f"a configuration is a .toml or .json file, got {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        fields = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} must hold an object of fields, got {type(fields).__name__}")
    if fields.pop("sha256", None) and isinstance(
        fields.get("epochs"), int
    ):  # a run's own file, which has T_d filled in
        fields = {
            name: value for name, value in fields.items() if (name, value) != ("switch_epoch", fields["epochs"] // 2)
        }
    if unknown := set(fields) - set(RunConfig.__dataclass_fields__):
        raise InputError(f"{path} has unknown fields {', '.join(sorted(unknown))}")
    found = {name: _from_file(name, value) for name, value in _renamed(fields).items()}
    for name, hint in get_type_hints(RunConfig).items():
        if name in found and not _fits(found[name], hint):
            raise InputError(f"{path}: {name} must be {_words(hint)}, got {found[name]!r}")
    return found


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a file is of a field's type; a list is a tuple, a whole number a number."""
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return value in options
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(each, options[0]) for each in value)
    if options:
        return any(_fits(value, option) for option in options)
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _words(hint: Any) -> str:
    """A field's type for people."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): '"none"'}
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, options))}"
    if get_origin(hint) is tuple:
        return f"a list, each {_words(options[0])}"
    return " or ".join(_words(option) for option in options) if options else names[hint]


def _from_file(name: str, value: Any) -> Any:
    """A field's value: ``none`` is None but where it is a value of its own."""
    return None if value == _NONE and name != "augment" else value


def write_config(path: Path, config: RunConfig) -> None:
    """Write every field of a configuration as a ``.toml`` or ``.json`` file, ``"none"`` for what follows from others.

    Args:
        path: path of the file.
        config: configuration to write.

    Raises:
        InputError: if the file's name ends otherwise.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, read_fields, write_config
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_config(Path(folder) / "run.toml", RunConfig("sam", rho=0.1))
        ...     fields = read_fields(Path(folder) / "run.toml")
        >>> fields["rho"], fields["clip_norm"] is None
        (0.1, True)
    """
    if path.suffix not in {".toml", ".json"}:
        raise InputError(f"a configuration is a .toml or .json file, got {path}")
    derived: frozenset[str] = vars(config)["_derived"]
    fields = {n: _NONE if value is None or n in derived else value for n, value in config.to_json().items()}
    # Strings, numbers, booleans and lists of numbers are written alike in both languages.
    lines = (f"{name} = {json.dumps(value)}" for name, value in fields.items())
    text = json.dumps(fields, indent=2) if path.suffix == ".json" else "\n".join(lines)
    write_atomically(path, text.encode() + b"\n")
