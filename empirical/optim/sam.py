"""Sharpness-aware minimization (Foret et al. 2021) as a PyTorch optimizer around any base optimizer."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.ascent import ascent, check_group
from sharpdiv.empirical.optim.running import frozen_running_statistics, undone_on_failure
from sharpdiv.empirical.optim.stored import StoredGradients

__all__ = ["SAM"]

Result = TypeVar("Result", Tensor, float, None)
"""What a closure returns."""


class SAM(torch.optim.Optimizer):
    """Optimizer that descends by the gradient at the worst nearby point, ``w + e`` with ``|e| = rho`` along the gradient.

    ``step(closure)`` runs the closure twice; the closure computes the loss, calls ``backward`` and returns the loss. Code that
    runs the two passes itself calls ``first_step`` after the first and ``second_step`` after the other. Weights are
    restored from a copy, so they are the same to the bit. ``rho = 0`` is the base optimizer to the bit.

    Groups: ``rho`` and ``adaptive`` are options of a parameter group, like ``lr``: groups in ``params`` may have their own, a
    schedule sets ``group["rho"]``, ``state_dict`` keeps them. The norm is one over all parameters, as in the best-known
    PyTorch SAM: each group's rho scales its part of one normalized ascent.

    Large batches: a closure may loop over micro-batches, each with its share of the loss and its ``backward``; that is the
    step of the whole batch. An ascent for each micro-batch (m-sharpness) is ``sharpbalance_step(..., m=...)``. Gradients
    from before the step cannot be taken again at ``w + e``: a closure that adds to them is refused.

    Running statistics of norms, and whatever else a forward pass advances, would advance in both passes: give the ``model``,
    and they advance once; after a step that an exception ends, in either pass, they and the weights are where they were before it.

    Float16: ``step(closure, scaler=scaler)``, where the closure calls ``scaler.scale(loss).backward()``, unscales each pass
    once, skips the step where a gradient is not finite, and leaves ``scaler.update()`` to the caller; ``scaler.step`` cannot
    do that and is refused.

    Args:
        params: parameters, or groups of them, as for any optimizer.
        base_optimizer: class of the optimizer that takes the step, ``torch.optim.SGD`` for example. With ``maximize`` the
            ascent turns round; weight decay is in the descent alone.
        rho: length of the ascent, finite and non-negative. Foret et al. use 0.05 for CIFAR-10, Lu et al. 0.05 to 0.2.
        adaptive: whether the ascent is scaled by ``|w|`` per coordinate (ASAM without its normalization offset, Kwon et al.
            2021): the perturbation is then ``w^2 g`` rescaled so that ``|e / w| = rho``.
        normalize: whether the ascent is divided by the gradient's norm. False is the theory's un-normalized SAM, ``e = rho g``.
        clip_norm: largest norm of the gradient the base optimizer gets, which is scaled down to it; None to leave it. The
            ascent, whose length is rho whatever the gradient, is not clipped.
        model: network whose buffers the second pass shall not advance.
        **base_options: options of the base optimizer, ``lr`` for example.

    Raises:
        InputError: if rho is negative or not finite, ``clip_norm`` not positive, ``adaptive`` is asked for without
            ``normalize``, the base optimizer cannot be one, or the model has none of the parameters.

    Examples:
        >>> import torch
        >>> from sharpdiv import SAM
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = SAM([w], torch.optim.SGD, rho=0.5, lr=0.1)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = w.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)  # the gradient 2 w at w + rho = 1.5 is 3
        >>> round(w.item(), 4)
        0.7
    """

    # Makes torch.amp.GradScaler.step say that it is the caller, in place of unscaling what an earlier step has left.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]],
        base_optimizer: Callable[..., torch.optim.Optimizer],
        rho: float,
        adaptive: bool = False,
        normalize: bool = True,
        clip_norm: float | None = None,
        *,
        model: nn.Module | None = None,
        **base_options: Any,
    ) -> None:
        if clip_norm is not None and not clip_norm > 0:
            raise InputError(f"clip_norm must be positive, got {clip_norm}")
        check_group({"rho": rho, "adaptive": adaptive}, normalize)
        if isinstance(base_optimizer, torch.optim.Optimizer):
            raise InputError(
                "base_optimizer is a class, such as torch.optim.SGD, whose options follow; got an optimizer"
            )
        self.base = base_optimizer(params, **base_options)
        _check_base(self.base)
        self.base.defaults.update(rho=rho, adaptive=adaptive)
        self.normalize, self.clip_norm, self.model = normalize, clip_norm, model
        self._between: ExitStack | None = None
        self._spare: list[Tensor] = []
        super().__init__(self.base.param_groups, self.base.defaults)
        # One list of groups and one state: schedulers and checkpoints act on the base optimizer through this one.
        self.param_groups = self.base.param_groups
        self.state = self.base.state
        if model is not None and set(model.parameters()).isdisjoint(self._weights):
            raise InputError("the model has none of the optimizer's parameters; give the network that is trained")

    @property
    def rho(self) -> float:
        """Length of the ascent, if the groups agree on one.

        Raises:
            InputError: if they do not.
        """
        values = [group["rho"] for group in self.param_groups]
        if len(set(values)) > 1:
            raise InputError(f"groups differ in rho ({', '.join(map(str, values))}); read param_groups")
        return values[0]

    @property
    def _weights(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with the constructor's rho unless it has its own.

        Args:
            param_group: parameters and their options.
        """
        check_group(self.defaults | param_group, self.normalize)
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        self._require_rest("copying the optimizer")
        # An optimizer copies only what every optimizer has.
        own = {name: getattr(self, name) for name in ("base", "normalize", "clip_norm", "model", "_between")}
        return {**super().__getstate__(), **own, "_spare": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the base optimizer's state, which is all the state there is; a saved rho replaces the constructor's, like ``lr``.

        Args:
            state_dict: what ``state_dict`` gave, of SAM or of the base optimizer alone: where it has no rho, groups keep theirs.

        Raises:
            InputError: if rho or ``adaptive`` in it have no meaning; nothing is loaded then.
        """
        own = [{name: group[name] for name in ("rho", "adaptive")} for group in self.param_groups]
        for options, saved in zip(
            own, state_dict["param_groups"], strict=False
        ):  # of other numbers the base optimizer tells
            check_group(options | saved, self.normalize)
        self.base.load_state_dict(state_dict)
        self.param_groups = self.base.param_groups
        self.state = self.base.state
        for group, options in zip(self.param_groups, own, strict=True):
            group.update(options | group)

    def state_dict(self) -> dict[str, Any]:
        """State of the base optimizer, with rho and ``adaptive`` in its groups.

        Returns:
            What ``load_state_dict`` takes.
        """
        return self.base.state_dict()

    @torch.no_grad()
    def step(
        self,
        closure: Callable[[], Result] | None = None,
        second_pass: AbstractContextManager[None] | None = None,
        *,
        scaler: torch.amp.GradScaler | None = None,
    ) -> Result:
        """One SAM step; if no parameter has a gradient after the first pass, a step of the base optimizer.

        Args:
            closure: function that computes the loss, calls ``backward`` and returns the loss. It may zero gradients or not.
            second_pass: context around the pass at the perturbed weights; a model given to SAM needs none.
            scaler: gradient scaler by which the closure scales the loss.

        Returns:
            What the closure returned at the unperturbed weights.

        Raises:
            InputError: if there is no closure, or it adds to gradients from before the step.
        """
        # A GradScaler sets both before it calls, and leaves them behind where its step is refused.
        if [vars(self).pop(name) for name in ("grad_scale", "found_inf") if name in vars(self)]:
            raise InputError(
                "SAM has two passes to unscale: scaler.step cannot; use optimizer.step(closure, scaler=scaler)"
            )
        if closure is None:
            raise InputError("SAM needs a closure that it can call twice; without one use first_step and second_step")
        self._require_rest("step")
        with undone_on_failure(self.model):
            with StoredGradients(self._weights).no_adding(_FROM_BEFORE), torch.enable_grad():
                result = closure()
            if self.ascends:
                if scaler is not None:
                    scaler.unscale_(self)
                    if not self._finite():
                        return result
                with self.perturbed(), self._frozen(), second_pass or nullcontext(), torch.enable_grad():
                    self.zero_grad()
                    closure()
        self.descend(scaler)
        return result

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        """Move to ``w + e`` by the gradients now stored, for code that runs both passes itself.

        They are taken as they are: with a gradient scaler use ``step``, which unscales those of both passes.

        Args:
            zero_grad: whether the gradients are zeroed; otherwise do so before the second pass, which would be refused.

        Raises:
            InputError: if the step before is not finished.
        """
        self._require_rest("first_step")
        with ExitStack() as between:
            between.enter_context(self.perturbed())
            between.enter_context(self._frozen())
            self._first = StoredGradients(self._weights)
            between.enter_context(self._first.no_adding(_FROM_FIRST))
            self._between = between.pop_all()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad: bool = False) -> None:
        """Restore the weights and step by the gradients now stored, which are those at ``w + e``.

        Args:
            zero_grad: whether the gradients are zeroed afterwards.

        Raises:
            InputError: if there was no ``first_step``, or no pass after it.
        """
        if self._between is None:
            raise InputError("second_step needs a first_step and a backward pass before it")
        between, self._between = self._between, None
        between.close()
        if self._first.untouched:
            raise InputError("no backward pass ran between first_step and second_step; the weights are where they were")
        self.descend()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def descend(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """Step of the base optimizer with the gradients now stored, clipped if asked for.

        Args:
            scaler: gradient scaler by which they are scaled.

        Raises:
            InputError: if sparse gradients are to be clipped.
        """
        self._opt_called = True  # by this name schedulers know that a step came before theirs
        if self.clip_norm is not None:
            if any(p.grad is not None and p.grad.layout != torch.strided for p in self._weights):
                raise InputError("clip_norm does not take sparse gradients; leave it out, or use dense ones")
            if scaler is not None:
                scaler.unscale_(self.base)
            nn.utils.clip_grad_norm_(self._weights, self.clip_norm)
        if scaler is None:
            self.base.step()
        else:
            scaler.step(self.base)

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Move the weights to ``w + e``, computed from the gradients now stored, and restore them on the way out.

        Yields:
            Nothing; gradients computed inside are those at the perturbed weights.
        """
        with torch.no_grad():
            weights, steps = self.ascent()
            saved = self._copies(weights)
            if weights:
                torch._foreach_add_(weights, steps)
        # Autocast caches its copies of the weights: without this the second pass would use those of the first.
        torch.clear_autocast_cache()
        try:
            yield
        finally:
            if weights:
                with torch.no_grad():
                    torch._foreach_copy_(weights, saved)
            self._spare = saved
            torch.clear_autocast_cache()

    def _copies(self, weights: list[Tensor]) -> list[Tensor]:
        """Copies of the weights."""
        # In the memory of the step before: taking it anew costs more than copying. The peak, at the second pass, has them anyway.
        saved, self._spare = self._spare, []  # a pass inside another has its own
        if [(s.shape, s.dtype, s.device) for s in saved] != [(p.shape, p.dtype, p.device) for p in weights]:
            saved = [torch.empty_like(p) for p in weights]
        if weights:
            torch._foreach_copy_(saved, weights)
        return saved

    def ascent(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights that the second pass moves, and how far: what another optimizer of two passes overrides.

        Returns:
            Weights and as many tensors of their shapes, from the gradients now stored.
        """
        return ascent(self.param_groups, self.normalize)

    @property
    def ascends(self) -> bool:
        """Whether a second pass would be at other weights; without one, ``step`` and training loops of others save it."""
        return any(group["rho"] and any(p.grad is not None for p in group["params"]) for group in self.param_groups)

    def _finite(self) -> bool:
        """Whether all gradients are; the device is waited for."""
        stored = [p.grad for p in self._weights if p.grad is not None]
        each = [(g.coalesce().values() if g.is_sparse else g).isfinite().all() for g in stored]
        return not each or bool(torch.stack([one.to(each[0].device) for one in each]).all())

    def _frozen(self) -> AbstractContextManager[None]:
        return nullcontext() if self.model is None else frozen_running_statistics(self.model)

    def _require_rest(self, what: str) -> None:
        if self._between is not None:
            raise InputError(f"{what} came between first_step and second_step, where the weights are moved")


_FROM_BEFORE = (
    "gradients from before the step are stored and the closure adds to them: zero them; step calls the closure for both passes, "
    "and micro-batches belong into one closure"
)
_FROM_FIRST = "the second backward pass adds to the first's gradients: use first_step(zero_grad=True)"


def _check_base(base: torch.optim.Optimizer) -> None:
    """Refuse base optimizers that cannot step with the gradients they find."""
    name = type(base).__name__
    if isinstance(base, SAM):
        raise InputError("SAM around SAM has no meaning; give the optimizer that takes the step")
    if inspect.signature(base.step).parameters.get("closure", _NO_CLOSURE).default is inspect.Parameter.empty:
        raise InputError(
            f"{name} evaluates a closure of its own in each step and cannot be SAM's base; use a first-order one"
        )
    if taken := {"rho", "adaptive"} & set(base.defaults):
        raise InputError(
            f"{name} has an option {' and '.join(taken)} of its own in its groups, where SAM's is; use another"
        )


_NO_CLOSURE = inspect.Parameter("closure", inspect.Parameter.KEYWORD_ONLY, default=None)
