"""Standard output and error: characters that they cannot encode are spelled out, and a reader may leave."""

import codecs
import io
import os
import sys

__all__ = ["BROKEN_PIPE", "discard_output", "spell_out"]

BROKEN_PIPE = 141
"""Status when nobody reads the output any more: what shells give a program that the signal for it ended."""

_ASCII = {"±": "+-", "│": "|", "•": "*", "…": "...", "≤": "<=", "≥": ">=", "×": "x", "é": "e"}
_ASCII |= dict.fromkeys("─━", "-") | dict.fromkeys("╭╮╰╯", "+")
_HANDLER = "sharpdiv"


def spell_out() -> None:
    """Let standard output and error print ``+-`` and the like where their encoding lacks a character, and nothing where closed."""
    codecs.register_error(_HANDLER, _spelled)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # as after >&- in a shell
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(character, "?") for character in error.object[error.start : error.end]), error.end


def discard_output() -> None:
    """Send what is still buffered nowhere, or the interpreter would complain about it when it shuts down."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
