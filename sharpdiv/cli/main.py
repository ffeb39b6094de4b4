"""The command line of sharpdiv: which command is meant, and how it ends."""

import sys
import warnings
from typing import NoReturn

from sharpdiv import __version__
from sharpdiv.cli import clock
from sharpdiv.cli.commands import COMMANDS, COMPLETION, load
from sharpdiv.cli.errors import fail, failure, nearest, warn
from sharpdiv.cli.streams import BROKEN_PIPE, discard_output, spell_out

__all__ = ["COMMANDS", "main", "run"]

_ABOUT = """\
sharpdiv COMMAND --help (or sharpdiv help COMMAND) describes a command; sharpdiv --version tells which version this is.
Exit status: 0 done, 1 a check failed, a run diverged or a worker was lost, 2 bad input, 3 the --minutes were up with work left,
130 interrupted, 141 nobody reads the output.

sharpdiv completion SHELL prints a script that completes commands and options. To install it:
  bash  sharpdiv completion bash > ~/.local/share/bash-completion/completions/sharpdiv
  zsh   sharpdiv completion zsh > _sharpdiv        in a folder of $fpath
  fish  sharpdiv completion fish > ~/.config/fish/completions/sharpdiv.fish"""


def main() -> NoReturn:
    """Run one command; exits 0 when done, 1 if a check failed or a run diverged, 2 on bad usage or input."""
    spell_out()
    try:
        status = run(sys.argv[1:])
        status = _flushed() or status
    except BrokenPipeError:
        discard_output()
        status = BROKEN_PIPE
    sys.exit(status)


def _flushed() -> int:
    """Write what is still buffered; the exit status if that fails, as where a disk is full."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        status = fail(f"the output could not be written: {error.strerror}")
        discard_output()
        return status
    return 0


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name.

    Returns:
        The exit status.

    Raises:
        BrokenPipeError: if nobody reads the output any more.
    """
    clock.start()
    while arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    name, *rest = arguments or ["--help"]
    if name not in COMMANDS and name not in _WITHOUT_CODE and name != "completion":
        return fail(f"unknown command {name!r}{nearest(name, COMMANDS)}; sharpdiv --help lists all")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = warn
            return _call(name, rest)
    except KeyboardInterrupt:
        return fail("interrupted; finished work is kept, run the command again to continue", status=130)
    except BrokenPipeError:
        raise
    except Exception as error:
        if (status := failure(error, name)) is None:
            raise
        return status


def _call(name: str, arguments: list[str]) -> int:
    """Import a command, parse its arguments and call it."""
    if name in _WITHOUT_CODE:
        _WITHOUT_CODE[name]()
        return 0
    from sharpdiv.cli.parsing import parse, parse_one_of  # brings tyro, which --help should not wait for

    command = COMMANDS.get(name, COMPLETION)
    prog = f"sharpdiv {name}"
    if not command.function:
        variants = {word: load(function) for word, function in command.variants.items()}
        return parse_one_of(prog, command.summary, variants, arguments)()
    function = command.function
    if arguments and arguments[0] in command.variants:
        word, *arguments = arguments
        prog, function = f"{prog} {word}", command.variants[word]
    if command.prepare:
        arguments = load(command.prepare)(arguments)
    return parse(prog, load(function), arguments)()


def _print_help() -> None:
    print(
        "usage: sharpdiv COMMAND [OPTIONS]\n\nSharpness-diversity theory of flat ensembles against trained networks.\n"
    )
    for name, command in COMMANDS.items():
        print(f"  {name:<10} {command.summary}")
    print(f"\n{_ABOUT}")


def _print_version() -> None:
    print(f"sharpdiv {__version__}")


_WITHOUT_CODE = {
    **dict.fromkeys(("-h", "--help"), _print_help),
    **dict.fromkeys(("version", "--version"), _print_version),
}
"""What needs no command to be imported."""

if __name__ == "__main__":
    main()
