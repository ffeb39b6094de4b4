"""What tyro refuses becomes one line, for every kind of error it has; of what is new it prints its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro
from tyro import _errors as events

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.parsing import parse, parse_one_of, refuse
from tests.cli.calling import run

Choice = tyro.conf.create_mutex_group(required=True)


def plain(name: Annotated[str, tyro.conf.Positional], *, size: int, kind: Literal["x", "y"] = "x") -> int:
    """Return the size."""
    return size


def exclusive(*, a: Annotated[int | None, Choice] = None, b: Annotated[int | None, Choice] = None) -> int:
    """Take a or b."""
    return (a or 0) + (b or 0)


def fixed(*, a: tyro.conf.Fixed[int] = 1) -> int:
    """Take what cannot be given."""
    return a


@dataclass(frozen=True)
class Pair:
    """Two numbers."""

    both: tuple[int, int] = (1, 2)


@pytest.mark.parametrize(
    ("command", "arguments", "kind", "message"),
    [
        (plain, "", events.MissingArgs, "missing name STR, --size INT"),
        (plain, "a --size 1 --colour red", events.UnrecognizedArgs, "unrecognized: --colour red"),
        (plain, "a --colour red", events.MissingArgs, "missing --size INT; unrecognized: --colour red"),
        (plain, "a --size", events.BadValue, "--size needs a value"),
        (Pair, "--both 1", events.BadValue, "--both needs 2 values"),
        (fixed, "--a 2", events.BadValue, "--a is fixed, got '2'"),
        (plain, "a --size 1 --kind z", events.InvalidChoice, "--kind must be one of x, y; got 'z'"),
        (plain, "a --size many", events.InstantiationFailure, "--size: invalid literal for int() with base 10: 'many'"),
        (exclusive, "", events.MissingMutexGroup, "missing --a or --b"),
        (exclusive, "--a 1 --b 2", events.MutexConflict, "--a and --b do not go together"),
    ],
)
def test_every_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], arguments: str, kind: type, message: str
) -> None:
    seen: list[type] = []
    on_parse_error = events.on_parse_error

    def spy(hook: events.ParseErrorHook) -> Any:
        def both(event: events.ParseErrorEvent) -> None:
            seen.append(type(event))
            hook(event)

        return on_parse_error(both)

    monkeypatch.setattr(events, "on_parse_error", spy)
    with pytest.raises(UsageError) as caught:
        parse("sharpdiv x", command, arguments.split())
    assert seen == [kind]
    assert str(caught.value) == f"{message} (see sharpdiv x --help)"


@pytest.mark.parametrize(
    ("attempted", "message"),
    [
        ("first", "--a means first already; leave that out"),
        ("second", "--a belongs to first and does not go with second"),
    ],
)
def test_subcommands_that_a_flag_implies(attempted: str, message: str) -> None:
    """None of ours do; told to the hook itself."""
    event = events.SubcommandConflict("sharpdiv x", attempted, "first", "--a", attempted == "first")
    with pytest.raises(UsageError) as caught:
        refuse(event)
    assert str(caught.value) == f"{message} (see sharpdiv x --help)"


def test_the_word_that_is_missing_is_named() -> None:
    commands: dict[str, Callable[..., int]] = {"plain": plain, "fixed": fixed}
    with pytest.raises(UsageError, match=r"^x needs one of: plain, fixed \(see sharpdiv x --help\)$"):
        parse_one_of("sharpdiv x", "", commands, [])
    with pytest.raises(UsageError, match=r"^unknown command 'plane', did you mean 'plain'\?; sharpdiv x --help"):
        parse_one_of("sharpdiv x", "", commands, ["plane"])
    with pytest.raises(UsageError, match=r"^missing name STR, --size INT \(see sharpdiv x plain --help\)$"):
        parse_one_of("sharpdiv x", "", commands, ["plain"])
    assert parse_one_of("sharpdiv x", "", commands, ["plain", "a", "--size", "3"])() == 3


def test_every_kind_of_error_is_known() -> None:
    """A later version of tyro may have more: then their lines are to be written."""
    covered = {
        *("MissingArgs", "MissingMutexGroup", "MissingSubcommand", "MutexConflict", "SubcommandConflict"),
        *("BadValue", "InvalidChoice", "UnrecognizedArgs", "InstantiationFailure"),
    }
    assert {kind.__name__ for kind in events.ParseErrorEvent.__subclasses__()} - {"New"} == covered


def test_an_error_of_a_new_kind_is_left_to_tyro(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class New(events.ParseErrorEvent):
        pass

    refuse(New("sharpdiv x"))  # raises nothing
    on_parse_error = events.on_parse_error
    monkeypatch.setattr(events, "on_parse_error", lambda hook: on_parse_error(lambda _: hook(New("sharpdiv x"))))
    assert parse("sharpdiv x", plain, ["a", "--size", "many"])() == 2
    assert "invalid literal for int()" in capsys.readouterr().err


def test_an_error_of_the_command_itself_is_not_one_of_parsing() -> None:
    """Parsing makes no call: what a command raises later is said as it is, without the hint at --help."""

    def failing(*, a: int = 1) -> int:
        """Fail."""
        raise ValueError("later")

    for call in (parse("sharpdiv x", failing, []), parse_one_of("sharpdiv x", "", {"failing": failing}, ["failing"])):
        with pytest.raises(ValueError, match=r"^later$"):
            call()


@pytest.mark.parametrize("name", ["out.csv", "out.json.gz", "points.txt"])
def test_json_is_not_written_to_a_file_that_promises_something_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    status, out, err = run(capsys, "theory", "gd", "--json", str(tmp_path / name))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--json: JSON is all that is written" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.json", "out", "OUT.JSON"])
def test_json_is_written_to_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    assert run(capsys, "theory", "gd", "--json", str(tmp_path / name))[0] == 0
    assert (tmp_path / name).read_text().startswith("{")
