"""Labels as people write them: case and blanks do not matter, and none is dropped without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from medvis.errors import InputError

# How data sets say that nobody has looked: such a picture is never a negative.
UNKNOWN = frozenset({"", "unlabelled", "unlabeled", "unknown"})
# How data sets say that there is nothing to be found.
NOTHING = frozenset({"normal", "good", "ok", "healthy", "negative", "no finding", "no defect"})


def normalised(label: str) -> str:
    """A label as labels are compared: in lower case, blanks and underscores as one blank."""
    return " ".join(label.replace("_", " ").split()).casefold()


def is_unknown(label: str) -> bool:
    """Whether a label says that nobody has labelled the picture."""
    return normalised(label) in UNKNOWN


class ClassLabel(Protocol):
    """A label of a recipe or a card."""

    @property
    def name(self) -> str:
        """As the task has it."""
        ...

    @property
    def kind(self) -> str:
        """``class`` for one of several that exclude each other."""
        ...

    @property
    def normal(self) -> bool:
        """Whether it says that there is nothing to be found."""
        ...


@dataclass(frozen=True)
class ClassNames:
    """The classes of a task that exclude each other.

    Attributes:
        names: in order.
        normal: whether each says that there is nothing to be found.
    """

    names: tuple[str, ...]
    normal: tuple[bool, ...]

    @classmethod
    def of(cls, labels: Iterable[ClassLabel]) -> ClassNames:
        """Those of a recipe's or card's labels that are classes."""
        classes = [label for label in labels if label.kind == "class"]
        return cls(tuple(label.name for label in classes), tuple(label.normal for label in classes))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    def index(self, label: str) -> int | None:
        """Of the class that a label means; None for another one.

        Where one class is the normal one, every word for nothing to be found means it.
        """
        own = normalised(label)
        for index, name in enumerate(self.names):
            if normalised(name) == own or (self.normal[index] and own in NOTHING):
                return index
        return None

    def unmatched(self, labels: Iterable[str]) -> dict[str, int]:
        """Labels that mean none of the classes, and how often each comes; that nobody has labelled is no label."""
        return dict(Counter(label for label in labels if not is_unknown(label) and self.index(label) is None))

    def require(self, labels: Sequence[str], source: str) -> None:
        """Raises InputError where a label means none of the classes, or none is of any."""
        unmatched = self.unmatched(labels)
        known = ", ".join(self.names)
        if unmatched:
            counts = ", ".join(f"'{label}' ({count})" for label, count in sorted(unmatched.items()))
            raise InputError(
                f"{source} has labels that the task does not know: {counts}", known, self._nearest(unmatched)
            )
        if all(is_unknown(label) for label in labels):
            raise InputError(f"{source} has no label", known)

    def _nearest(self, unmatched: Iterable[str]) -> str | None:
        names = {normalised(name): name for name in self.names}
        for label in unmatched:
            near = get_close_matches(normalised(label), list(names), 1, 0.7)
            if near:
                return f"'{label}' may mean '{names[near[0]]}'"
        return "write 'unlabelled' where nobody has looked"
