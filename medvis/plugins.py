"""Name → object through entry points. Only the plug-in that is named is imported.

Groups: ``medvis.stages``, ``medvis.readers``, ``medvis.writers``, ``medvis.tasks``, ``medvis.bundles``,
``medvis.backends``. The built-in plug-ins use the same door as anybody's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from medvis.errors import SettingsError

P = TypeVar("P")


def names(group: str) -> tuple[str, ...]:
    """The names registered in a group, sorted, without importing any of them."""
    return tuple(sorted(_table(group)))


def load(group: str, name: str) -> Any:  # noqa: ANN401 - the caller knows the group's protocol
    """The object behind a name.

    Raises:
        SettingsError: the name is not registered, or by two packages, or cannot be imported.
    """
    table = _table(group)
    if name not in table:
        kind = group.rpartition(".")[2].rstrip("s")
        raise SettingsError(f"unknown {kind} '{name}'", f"one of {', '.join(sorted(table)) or '(none)'}")
    if len(table[name]) > 1:
        packages = " and ".join(origins(group, name))
        raise SettingsError(f"{group} '{name}' is registered twice: by {packages}", hint="uninstall one of them")
    try:
        return table[name][0].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{group} '{name}' cannot be imported: {error}", hint="reinstall the package that provides it"
        ) from error


def create(group: str, name: str, kind: type[P]) -> P:
    """The plug-in behind a name, made ready to use.

    Args:
        group: as for `load`.
        name: as for `load`.
        kind: the class from which it must be derived, e.g. `medvis.core.protocols.Reader`.

    Raises:
        SettingsError: as `load`; or it is of another class, or lacks what the class asks for.
    """
    plugin = load(group, name)
    if not (isinstance(plugin, type) and issubclass(plugin, kind)):
        raise SettingsError(
            f"{group} '{name}' is {plugin!r}", f"a class derived from {kind.__module__}.{kind.__name__}"
        )
    try:
        return plugin()
    except TypeError as error:  # an abstract method is missing
        raise SettingsError(f"{group} '{name}' cannot be used: {error}") from error


def origins(group: str, name: str) -> tuple[str, ...]:
    """The packages that register a name, each with its version; more than one if they contradict each other."""
    return tuple(_origin(point) for point in _table(group).get(name, ()))


def forget() -> None:
    """Lets the installed packages be looked through again, as after an installation."""
    _installed.cache_clear()
    _table.cache_clear()


@cache
def _installed() -> Any:  # noqa: ANN401 - `EntryPoints`, but in Python 3.11 a class of its own
    """The entry points of all packages: looking through the packages costs the same for one group as for all."""
    return entry_points()


@cache
def _table(group: str) -> dict[str, list[EntryPoint]]:
    table: dict[str, list[EntryPoint]] = {}
    for point in _installed().select(group=group):
        points = table.setdefault(point.name, [])
        if point.value not in [known.value for known in points]:
            points.append(point)
    return table


def _origin(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"
