"""Forward passes in evaluation mode that are watched layer by layer: hooks tell what each layer takes and gives."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sharpdiv.empirical.curvature.restoring import surely
from sharpdiv.empirical.errors import InputError

__all__ = ["LayerInputs", "evaluation_mode", "watched"]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for every module, restored module by module on the way out.

    Args:
        model: network whose modes are set and restored.

    Yields:
        Nothing.

    Examples:
        >>> import torch
        >>> from sharpdiv import evaluation_mode
        >>> model = torch.nn.Dropout()
        >>> with evaluation_mode(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    modes = [(module, module.training) for module in model.modules()]

    def restore() -> None:
        for module, training in modes:
            module.training = training

    try:
        # Not by eval(): a module's own train() may do more, such as merging weights, which setting the mode back would not undo.
        for module, _ in modes:
            module.training = False
        yield
    finally:
        surely(restore)


@contextmanager
def watched(
    model: nn.Module,
    layers: Iterable[nn.Module],
    tell: Callable[[nn.Module, tuple[Any, ...], Any], None],
    again: bool = False,
) -> Iterator[None]:
    """Evaluation mode in which some layers tell what they take and give.

    Args:
        model: network whose mode is set and restored.
        layers: modules of it that are watched.
        tell: receiver of a layer, its arguments and its output, right after the layer has run.
        again: whether a layer may run more than once.

    Yields:
        Nothing; a layer that runs for the second time, unless it may, raises an ``InputError`` there.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.recording import watched
        >>> layer = torch.nn.Linear(2, 3)
        >>> with watched(layer, [layer], lambda layer, arguments, output: print(tuple(output.shape))):
        ...     _ = layer(torch.ones(5, 2))
        (5, 3)
    """
    seen: set[nn.Module] = set()

    def hook(layer: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if layer in seen and not again:
            name = next(name for name, module in model.named_modules() if module is layer)
            raise InputError(
                f"layer {name!r} runs twice in one pass ({type(layer).__name__}); use a layer for each time"
            )
        seen.add(layer)
        tell(layer, arguments, output)

    handles: list[RemovableHandle] = []

    def remove() -> None:
        for handle in handles:
            handle.remove()

    try:
        for layer in layers:
            handles.append(layer.register_forward_hook(hook))  # noqa: PERF401  # those that an interruption leaves are known
        with evaluation_mode(model):
            yield
    finally:
        surely(remove)


class LayerInputs:
    """First arguments of layers, kept as they are: what is changed in place afterwards is noticed.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.recording import LayerInputs
        >>> layer, images, inputs = torch.nn.ReLU(), torch.ones(2), LayerInputs()
        >>> _ = inputs.keep(layer, (images,))
        >>> _ = images.add_(1)
        >>> inputs.refuse_changed()
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: the input of ReLU was changed in place; use out-of-place operations
    """

    def __init__(self) -> None:
        self._kept: dict[nn.Module, dict[int, tuple[Tensor, int]]] = {}

    def __contains__(self, layer: nn.Module) -> bool:
        return layer in self._kept

    def keep(self, layer: nn.Module, arguments: tuple[Tensor, ...]) -> int:
        """Keep the input of a layer.

        Args:
            layer: module that has just run.
            arguments: tensors that it was called with.

        Returns:
            How many times it had run before.
        """
        calls = self._kept.setdefault(layer, {})
        calls[len(calls)] = (arguments[0].detach(), arguments[0]._version)
        return len(calls) - 1

    def take(self, layer: nn.Module, call: int = 0) -> Tensor:
        """Input of a layer, which is kept no longer, so that it is freed once it is used.

        Args:
            layer: module that has run.
            call: which of its runs, counted from 0.

        Returns:
            The tensor, without a graph.
        """
        return self._kept[layer].pop(call)[0]

    def left(self, layer: nn.Module) -> int:
        """Number of inputs of a layer that are still kept.

        Args:
            layer: module that has run.

        Returns:
            0 once all were taken.
        """
        return len(self._kept[layer])

    def refuse_changed(self) -> None:
        """Check that every input still is what its layer has seen.

        Raises:
            InputError: if one was changed in place.
        """
        for layer, calls in self._kept.items():
            if any(inputs._version != version for inputs, version in calls.values()):
                raise InputError(
                    f"the input of {type(layer).__name__} was changed in place; use out-of-place operations"
                )
