"""Name → object through entry points. Only the plug-in that is named is imported.

Groups: ``medvis.stages``, ``medvis.readers``, ``medvis.writers``, ``medvis.bundles``, ``medvis.backends``. The
built-in plug-ins use the same door as anybody's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from medvis.errors import SettingsError


def names(group: str) -> tuple[str, ...]:
    """The names registered in a group, sorted, without importing any of them."""
    return tuple(sorted(_table(group)))


def load(group: str, name: str) -> Any:  # noqa: ANN401 - the caller knows the group's protocol
    """The object behind a name. Raises SettingsError if the name is not registered or cannot be imported."""
    table = _table(group)
    if name not in table:
        kind = group.rpartition(".")[2].rstrip("s")
        raise SettingsError(f"unknown {kind} '{name}'", f"one of {', '.join(sorted(table)) or '(none)'}")
    try:
        return table[name].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{group} '{name}' cannot be imported: {error}", hint="reinstall the package that provides it"
        ) from error


@cache
def _table(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
