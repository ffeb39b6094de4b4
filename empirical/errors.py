"""Typed errors of the experiments: what was got, what was expected, what to do."""

__all__ = ["DivergenceError", "GraphError", "InputError", "NotMeasuredError", "StoreError", "WorkerError"]


class InputError(ValueError):
    """Arguments or data that cannot be used."""


class DivergenceError(RuntimeError):
    """Training or an ascent produced a loss that is not finite."""


class GraphError(InputError):
    """Pieces of work that do not fit together."""


class NotMeasuredError(RuntimeError):
    """Results lack a number that is asked for: they are older than it, or it was left out when they were measured."""


class StoreError(RuntimeError):
    """A file of a run is damaged or does not belong to it."""


class WorkerError(RuntimeError):
    """A process that trained or measured was killed from outside."""
