"""What the profile demands of each attribute (PS3.15 Table E.1-1), and the options of it that medvis offers.

The table is that of the library dicom-anonymizer, generated from the 2026c edition of the standard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from pydicom.tag import Tag

from medvis.errors import SettingsError

EDITION = "2026c"
# Option → its code in CID 7050, and what it is called there.
OPTIONS = {
    "modified-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "uids": ("113110", "Retain UIDs Option"),
}
BASIC = ("113100", "Basic Application Confidentiality Profile")
STRUCTURED = ("113104", "Clean Structured Content Option")
# Column "Rtn. Pat. Chars. Opt." of the table, K: what is free text there (C) goes all the same.
CHARACTERISTICS = frozenset(
    Tag(keyword)
    for keyword in (
        *("PatientSex", "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup"),
        *("PregnancyStatus", "SmokingStatus", "PatientSexNeutered"),
    )
)
# Columns of the library's table; the first letter that applies is the strictest that keeps an object valid.
_COLUMNS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "D",
    "X_Z_TAGS": "Z",
    "X_D_TAGS": "D",
    "X_Z_D_TAGS": "D",
    "X_Z_U_STAR_TAGS": "C",
}


@dataclass(frozen=True)
class Profile:
    """The Basic Profile with options.

    Attributes:
        modified_dates: dates are moved, by the same number of days for all of a patient's, instead of removed.
        patient_characteristics: sex, age, size, weight and the like are kept.
        uids: UIDs are kept.
    """

    modified_dates: bool = False
    patient_characteristics: bool = False
    uids: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Profile:
        """From the names of options. Raises SettingsError for one that is not offered."""
        wanted = [name for name in names if name != "basic"]
        strange = [name for name in wanted if name not in OPTIONS]
        if strange:
            raise SettingsError(f"profile option '{strange[0]}'", f"some of basic, {', '.join(OPTIONS)}")
        return cls(**{name.replace("-", "_"): True for name in wanted})

    @property
    def codes(self) -> list[tuple[str, str]]:
        """(code value, meaning) of the profile and its options, CID 7050."""
        chosen = [code for name, code in OPTIONS.items() if getattr(self, name.replace("-", "_"))]
        return [BASIC, *chosen]


def action_of(tag: int) -> str | None:
    """What the Basic Profile does with an attribute, by its number (group · 65536 + element).

    Returns:
        ``X`` remove, ``Z`` empty, ``D`` replace by a dummy, ``U`` replace the UID, ``C`` keep and clean what is in it;
        None: the table does not name it.
    """
    single, groups = _table()
    action = single.get(tag)
    if action is None:
        group, element = tag >> 16, tag & 0xFFFF
        action = next((code for (g, e, m, n), code in groups if group & m == g & m and element & n == e & n), None)
    return action


def library() -> ModuleType:
    """The library's actions. Raises SettingsError where it is not installed."""
    try:
        from dicomanonymizer import simpledicomanonymizer  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError("dicom-anonymizer is not installed", hint="pip install 'medvis[deid]'") from error
    module: ModuleType = simpledicomanonymizer
    return module


@cache
def _table() -> tuple[dict[int, str], list[tuple[tuple[int, int, int, int], str]]]:
    columns: dict[str, list[Any]] = library().dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    single: dict[int, str] = {}
    groups: list[tuple[tuple[int, int, int, int], str]] = []
    for column, code in _COLUMNS.items():
        for tag in columns[column]:
            if len(tag) == 4:
                groups.append((tag, code))
            else:
                single[(tag[0] << 16) | tag[1]] = code
    return single, groups
