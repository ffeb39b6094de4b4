"""Arguments parsed with tyro, whose errors become one line each."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, singledispatch, wraps
from typing import Any

import tyro
from tyro import _errors as events
from tyro._arguments import ArgumentDefinition

from sharpdiv.cli.errors import UsageError, nearest

__all__ = ["parse", "parse_one_of", "refuse"]

Call = Callable[[], int]
"""A command with its arguments, to be run."""


def parse(prog: str, command: Callable[..., int], arguments: Sequence[str]) -> Call:
    """Parse the arguments of a command, or raise a usage error.

    Args:
        prog: program and command, as the user calls them.
        command: function with the command's options as arguments.
        arguments: what follows.
    """
    return _parsed(lambda: tyro.cli(_deferred(command), args=arguments, prog=prog))


def parse_one_of(prog: str, summary: str, commands: Mapping[str, Callable[..., int]], arguments: Sequence[str]) -> Call:
    """Parse which of some commands is meant, and its arguments.

    Args:
        prog: program and first word, as the user calls them.
        summary: what the commands are about.
        commands: by second word.
        arguments: the second word and what follows.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        raise UsageError(f"unknown command {arguments[0]!r}{nearest(arguments[0], commands)}; {prog} --help lists all")
    of_each = {name: _deferred(command) for name, command in commands.items()}
    options: dict[str, Any] = {"args": arguments, "prog": prog, "description": summary}
    return _parsed(lambda: tyro.extras.subcommand_cli_from_dict(of_each, **options))


def _parsed(cli: Callable[[], Call]) -> Call:
    """What tyro makes of the arguments; it leaves by itself after --help, and after errors that ``refuse`` does not know."""
    try:
        with events.on_parse_error(refuse):
            return cli()
    except SystemExit as stop:
        status = int(stop.code or 0)
        return lambda: status


def _deferred(command: Callable[..., int]) -> Callable[..., Call]:
    """The command with its signature, but returning the call instead of making it: parsing and running stay apart."""

    @wraps(command)
    def bind(*args: Any, **kwargs: Any) -> Call:
        return partial(command, *args, **kwargs)

    return bind


def refuse(event: events.ParseErrorEvent) -> None:
    """Raise a usage error that says in one line what tyro found; what it does not know is left to tyro."""
    if line := _line(event):
        progs = event._help_progs()
        raise UsageError(f"{line} (see {progs if isinstance(progs, str) else progs[0]} --help)")


@singledispatch
def _line(event: events.ParseErrorEvent) -> str | None:  # noqa: ARG001  # registered below for each kind
    return None


@_line.register
def _(event: events.MissingArgs) -> str:
    missing = [each.arg for each in event.missing_arguments]
    names = ", ".join(f"{_name(arg)} {arg.lowered.metavar}" for arg in missing)
    unknown = f"; unrecognized: {' '.join(event.unrecognized_tokens)}" if event.unrecognized_tokens else ""
    return f"missing {names}{unknown}"


@_line.register
def _(event: events.MissingMutexGroup) -> str:
    groups = (" or ".join(_name(each.arg) for each in group) for group in event.groups)
    return f"missing {'; '.join(groups)}"


@_line.register
def _(event: events.MissingSubcommand) -> str:
    found = f", got {event.found_token!r}" if event.found_token else ""
    command = event.prog.removeprefix("sharpdiv ")
    return f"{command} needs one of: {', '.join(event.subcommand_spec.parser_from_name)}{found}"


@_line.register
def _(event: events.MutexConflict) -> str:
    return f"{event.first_token} and {event.second_token} do not go together"


@_line.register
def _(event: events.SubcommandConflict) -> str:
    if event.is_same_subcommand:
        return f"{event.trigger_flag} means {event.attempted} already; leave that out"
    return f"{event.trigger_flag} belongs to {event.already_selected} and does not go with {event.attempted}"


@_line.register
def _(event: events.BadValue) -> str:
    if event.offending_value is not None:
        return f"{_name(event.argument)} is fixed, got {event.offending_value!r}"
    count = event.argument.lowered.nargs
    return f"{_name(event.argument)} needs {'a value' if count == 1 else f'{count} values'}"


@_line.register
def _(event: events.InvalidChoice) -> str:
    return f"{_name(event.argument)} must be one of {', '.join(event.choices)}; got {event.value!r}"


@_line.register
def _(event: events.UnrecognizedArgs) -> str:
    return f"unrecognized: {' '.join(event.tokens)}"


@_line.register
def _(event: events.InstantiationFailure) -> str:
    return event.message if event.argument is None else f"{_name(event.argument)}: {event.message}"


def _name(argument: ArgumentDefinition) -> str:
    """How the user writes an option, or what a positional argument is."""
    return argument.field.extern_name if argument.is_positional() else argument.lowered.name_or_flags[-1]
