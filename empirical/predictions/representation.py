"""Similarity of what networks compute inside: linear centred kernel alignment (CKA) between layers and between members."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Inputs, leaves, run_on
from sharpdiv.empirical.curvature.recording import watched
from sharpdiv.empirical.devices import float64
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import Array, as_tensor

__all__ = ["layer_features", "linear_cka", "member_cka"]


def linear_cka(x: Array, y: Array) -> float:
    """Linear CKA, ``|X'Y|^2 / (|X'X| |Y'Y|)`` with X, Y centred over samples and Frobenius norms.

    1 for equal features, unchanged by rotations and by a factor of either side. Not by every invertible map: directions count by
    their variance. Independent features do not give 0 but about ``p / (n + p)`` for p features each and n samples: take many more
    samples than features, and compare only values of the same shape.

    Args:
        x: features of the samples in one layer, ``(samples, features)``.
        y: features of the same samples, in the same order, in another layer; their number may differ.

    Returns:
        The alignment, from 0 to 1.

    Raises:
        InputError: if the numbers of samples differ, or features are constant over samples, not finite or no matrix.

    References:
        Kornblith, Norouzi, Lee and Hinton (2019), "Similarity of neural network representations revisited", arXiv:1905.00414,
        equation 3 with the linear kernel.

    Examples:
        >>> import torch
        >>> from sharpdiv import linear_cka
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> round(linear_cka(x, 3 * x.flip(1)), 4)  # axes exchanged, and a factor
        1.0
        >>> round(linear_cka(x, x[:, :1]), 4)  # X'X = diag(2, 8): 2^2 / (sqrt(2^2 + 8^2) 2)
        0.2425
    """
    return float(_alignment(_normalized(x), _normalized(y)))


def member_cka(features: Array) -> float:
    """Mean linear CKA over pairs of an ensemble's members: 1 less this is their diversity inside.

    Args:
        features: features of each member, ``(samples, features)``, of the same samples in the same order; members in a list may
            differ in their number.

    Returns:
        The mean alignment, from 0 to 1.

    Raises:
        InputError: if there are fewer than two members, and as ``linear_cka``.

    Examples:
        >>> import torch
        >>> from sharpdiv import member_cka
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> round(member_cka([x, x.flip(1), x[:, :1]]), 4)  # (1 + 2 / sqrt(17)) / 3, see ``linear_cka``
        0.495
    """
    if len(features) < 2:
        raise InputError(f"member_cka needs the features of at least 2 members, got {len(features)}")
    pairs = itertools.combinations([_normalized(x) for x in features], 2)
    return float(torch.stack([_alignment(x, y) for x, y in pairs]).mean())


def _normalized(features: Array) -> Float[Tensor, "samples features"]:
    """Centred over samples and scaled to ``|X'X| = 1``, in float64."""
    x = float64(as_tensor(features, "features"))
    if x.ndim != 2 or not x.numel() or not torch.isfinite(x).all():
        raise InputError(f"features must be finite, of shape (samples, features >= 1), got shape {tuple(x.shape)}")
    centred = x - x.mean(dim=0)
    largest = centred.abs().max()
    # What rounding the mean leaves of a constant.
    if largest <= len(x) * torch.finfo(x.dtype).eps * x.abs().max():
        raise InputError(f"features are constant over the {len(x)} samples: they align with nothing")
    centred = centred / largest
    gram = centred.T @ centred if x.shape[1] <= len(x) else centred @ centred.T
    return centred / gram.norm().sqrt()


def _alignment(x: Float[Tensor, "samples_x features_x"], y: Float[Tensor, "samples_y features_y"]) -> Tensor:
    """``|X'Y|^2``, or the same as ``<XX', YY'>`` where the Gram matrices of the samples are cheaper."""
    if len(x) != len(y):
        raise InputError(f"both sides need features of the same samples, got {len(x)} and {len(y)} samples")
    (samples, p), q = x.shape, y.shape[1]
    inner = (x.T @ y).square() if p * q <= samples * (p + q) else (x @ x.T) * (y @ y.T)
    # Cauchy-Schwarz, up to rounding.
    return inner.sum().clamp(0, 1)


def layer_features(model: nn.Module, inputs: Inputs, layers: Sequence[str]) -> dict[str, Float[Tensor, "samples _"]]:
    """Outputs of named layers, of convolutions averaged over positions.

    All axes behind the second (channels) are positions. The average makes CKA blind to where in the image a feature is, and keeps
    the features few. Evaluation mode is set and restored; no gradient is recorded.

    Args:
        model: any module.
        inputs: inputs of a batch, first axis samples: a tensor, a tuple of positional or a mapping of keyword arguments;
            concatenate the features of the batches of a large set.
        layers: names of layers as in ``model.named_modules()``; "" is the model itself.

    Returns:
        Features ``(samples, features)`` of each layer, by its name.

    Raises:
        InputError: if a name does not exist, or its layer does not run exactly once or returns no tensor with samples first.

    Examples:
        >>> import torch
        >>> from sharpdiv import layer_features
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten())
        >>> layer_features(model, torch.tensor([[[[1.0, 3.0]]]]), ["0"])  # the mean over two positions
        {'0': tensor([[2.]])}
    """
    modules = dict(model.named_modules())
    if unknown := [name for name in layers if name not in modules]:
        raise InputError(f"the model has no layer {unknown[0]!r}; it has {', '.join(filter(None, modules))}")
    samples = next(len(leaf) for leaf in leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim)
    names = {modules[name]: name for name in layers}
    features: dict[str, Tensor] = {}

    def record(layer: nn.Module, _arguments: object, output: object) -> None:
        features[names[layer]] = _over_positions(output, samples, names[layer])

    with watched(model, names, record), torch.no_grad():
        run_on(model, inputs)
    if missing := [name for name in layers if name not in features]:
        raise InputError(f"layer {missing[0]!r} did not run in the model's forward pass")
    return {name: features[name] for name in layers}


def _over_positions(output: object, samples: int, name: str) -> Float[Tensor, "samples _"]:
    """Mean over all axes behind the second; a copy, so that nothing that follows can change it in place."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != samples:
        raise InputError(
            f"layer {name!r} must return a tensor (samples, features, ...), got {type(output).__name__} "
            f"{tuple(getattr(output, 'shape', ()))}"
        )
    return output.flatten(2).mean(dim=2) if output.ndim > 2 else output.clone()
