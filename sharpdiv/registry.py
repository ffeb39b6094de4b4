"""Things that others may add to: by name, and with what installed packages contribute."""

from collections.abc import Iterable, Iterator, MutableMapping
from functools import cache
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

__all__ = ["PLUGINS", "Named", "PluginError", "Registry", "load_plugins"]

PLUGINS = "sharpdiv.plugins"
"""Group of entry points: modules that add to registries when they are imported."""


class PluginError(ImportError):
    """A module that an installed package names as a plugin cannot be used."""


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """Its name."""


T = TypeVar("T", bound=Named)


@cache
def load_plugins() -> None:
    """Import the modules that installed packages name in the group ``sharpdiv.plugins``, once.

    Raises:
        PluginError: if one of them cannot be imported, or adds what is there already.
    """
    for entry in sorted(entry_points(group=PLUGINS), key=lambda each: each.name):
        try:
            entry.load()
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"plugin {entry.name} = {entry.value} cannot be used ({found}); repair or uninstall it"
            ) from error


class Registry(MutableMapping[str, T], Generic[T]):
    """Records by name, in the order they were added; plugins are imported when what they may hold is first looked for.

    Examples:
        >>> from types import SimpleNamespace
        >>> shapes = Registry("shape", [SimpleNamespace(name="square")])
        >>> shapes.add(SimpleNamespace(name="disc")).name
        'disc'
        >>> list(shapes)
        ['square', 'disc']
        >>> shapes["cube"]
        Traceback (most recent call last):
        ...
        KeyError: "shape must be one of square, disc; got 'cube'"
    """

    def __init__(self, what: str, items: Iterable[T] = ()) -> None:
        """A registry with what it holds from the beginning.

        Args:
            what: Word for one of them in messages.
            items: Records.
        """
        self.what = what
        self._items = {item.name: item for item in items}

    def add(self, item: T) -> T:
        """Add a record; processes that train import it anew, so call this where a module or script is imported.

        Args:
            item: New record.

        Returns:
            The same.

        Raises:
            ValueError: if another one has its name.
        """
        if self._items.get(item.name, item) != item:
            raise ValueError(f"there is another {self.what} {item.name!r}; give this one another name")
        self._items[item.name] = item
        return item

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise KeyError(self.unknown(name))
        return self._items[name]

    def __setitem__(self, name: str, item: T) -> None:
        self._items[name] = item

    def __delitem__(self, name: str) -> None:
        del self._items[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._items:  # what is ours is there while the package itself is being imported
            load_plugins()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(self._items)

    def __len__(self) -> int:
        load_plugins()
        return len(self._items)

    def named(self, name: str, error: type[Exception]) -> T:
        """A record by its name, or an error of the caller's own type.

        Args:
            name: What is asked for.
            error: Raised, with all known names, if it is not there.

        Returns:
            The record.
        """
        if name not in self:
            raise error(self.unknown(name))
        return self._items[name]

    def unknown(self, name: str) -> str:
        """Message for a name that is not there.

        Args:
            name: What was asked for.

        Returns:
            A sentence with all known names.
        """
        return f"{self.what} must be one of {', '.join(self)}; got {name!r}"
