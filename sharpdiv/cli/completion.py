"""``sharpdiv completion``: scripts that complete commands and options."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal, Union

import tyro

from sharpdiv.cli.commands import COMMANDS, Command, load

__all__ = ["completion"]


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]) -> int:
    """Print a script that completes commands and options in a shell.

    sharpdiv --help says where it belongs.

    Args:
        shell: bash, zsh or fish
    """
    app = {name: _completed(command) for name, command in COMMANDS.items()}
    with suppress(SystemExit):  # tyro leaves when it has printed the script
        tyro.extras.subcommand_cli_from_dict(
            app,
            prog="sharpdiv",
            args=["--tyro-write-completion", shell, "-"],
            config=[tyro.conf.OmitSubcommandPrefixes],
        )
    return 0


def _completed(command: Command) -> Callable[..., Any]:
    """A function with the command's options, and with its second words where one has to be named."""
    if command.function:
        return load(command.function)
    words = [
        Annotated[Any, tyro.conf.subcommand(name=word, constructor=load(function))]
        for word, function in command.variants.items()
    ]

    def group(word: Any) -> None:
        """Take one of the words."""

    group.__annotations__["word"] = Union[tuple(words)]  # noqa: UP007  # of types that are known at run time
    return group
