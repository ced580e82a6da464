"""From stored values to modality units: rescale, Modality LUT (PS3.3 C.11.1), their per-frame kin, and the unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from medvis.core.arrays import Array, Float32s
from medvis.dicom.read.layout import Layout
from medvis.dicom.read.palette import words_of
from medvis.dicom.read.values import FrameGroups, first_item, number, numbers, text, value
from medvis.errors import InputError
from medvis.ops.modality import modality_lut, rescale

UNSPECIFIED = "US"
GREY = "grey"


@dataclass(frozen=True)
class Transform:
    """What turns the stored values of one frame into modality values.

    Attributes:
        slope, intercept: of the rescale, where there is no table.
        table: entries of the Modality LUT, or None.
        first: the first stored value that the table maps.
        unit: Rescale Type or Modality LUT Type, or None if the file does not say.
        given: whether the file holds a transform at all (else slope 1 and intercept 0 stand for "as stored").
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: tuple[float, ...] | None = None
    first: int = 0
    unit: str | None = None
    given: bool = False

    def apply(self, stored: Array, out: Float32s) -> None:
        """Fills `out` with the modality values of `stored`."""
        if self.table is not None:
            modality_lut(stored, self.table, self.first, out)
        else:
            rescale(stored, self.slope, self.intercept, out)

    @property
    def facts(self) -> dict[str, Any]:
        """For the trail."""
        if self.table is not None:
            return {"kind": "modality LUT", "entries": len(self.table), "first": self.first}
        return {"kind": "rescale" if self.given else "none", "slope": self.slope, "intercept": self.intercept}


def transforms_of(ds: Dataset, layout: Layout) -> tuple[list[Transform], list[str]]:
    """One transform a frame, and notes. Colour has none (PS3.3 C.7.6.3.1.2).

    Raises:
        InputError: a rescale that is not made of finite numbers.
    """
    if layout.channels == 3:
        return [Transform(unit=GREY)] * layout.frames, []
    groups, notes = FrameGroups(ds), set[str]()
    transforms: list[Transform] = []
    common: Transform | None = None
    for frame in range(layout.frames):
        own = groups.get(frame, "PixelValueTransformationSequence")
        if own is None and common is None:
            common = _transform(ds, layout, notes)
        transforms.append(common if own is None and common is not None else _transform(own or ds, layout, notes))
    return transforms, sorted(notes)


def unit_of(ds: Dataset, transform: Transform) -> tuple[str, str | None]:
    """The unit of the modality values, and a note where it had to be concluded.

    A CT's rescale is to HU unless the file says otherwise (PS3.3 C.8.2.1.1.2); PET says it in Units (C.8.9.1).
    """
    if transform.unit is not None and transform.unit != UNSPECIFIED:
        return transform.unit, None
    modality = text(ds, "Modality")
    declared = {"PT": text(ds, "Units"), "CT": transform.unit or "HU"}.get(modality or "", transform.unit)
    if transform.given or declared == UNSPECIFIED:
        return declared or UNSPECIFIED, None
    return UNSPECIFIED, _as_stored(ds, modality)


def _as_stored(ds: Dataset, modality: str | None) -> str | None:
    """A note on values that no rescale has turned into a quantity."""
    if modality == "CT":
        return "a CT without Rescale Slope and Intercept: its values are not known to be HU"
    if modality == "PT":
        unit = text(ds, "Units") or "known units"
        return f"a PET image without Rescale Slope: its values are not known to be {unit}"
    return "the values are as stored: the file's Real World Value Mapping was not applied" if _real_world(ds) else None


def _real_world(ds: Dataset) -> bool:
    """Whether a mapping to quantities (PS3.3 C.7.6.16.2.11) is not that of the stored values to themselves."""
    mapping = FrameGroups(ds).get(0, "RealWorldValueMappingSequence") or first_item(ds, "RealWorldValueMappingSequence")
    if mapping is None:
        return False
    line = (number(mapping, "RealWorldValueSlope"), number(mapping, "RealWorldValueIntercept"))
    return line != (1.0, 0.0)


def _transform(ds: Dataset, layout: Layout, notes: set[str]) -> Transform:
    lut = first_item(ds, "ModalityLUTSequence")
    if lut is not None:
        table = lut_table(lut, layout.signed)
        if table is not None:
            entries, first, _ = table
            return Transform(table=entries, first=first, unit=text(lut, "ModalityLUTType"), given=True)
        notes.add("the Modality LUT is broken and was ignored")
    slope, intercept = _finite(ds, "RescaleSlope"), _finite(ds, "RescaleIntercept")
    if slope == 0:
        notes.add("Rescale Slope is 0; 1 was assumed")
        slope = 1.0
    given = slope is not None or intercept is not None
    return Transform(slope or 1.0, intercept or 0.0, unit=text(ds, "RescaleType"), given=given)


def _finite(ds: Dataset, keyword: str) -> float | None:
    """None if it is absent or empty; a value that is none cannot be replaced by a guess."""
    found = number(ds, keyword)
    if found is None and keyword in ds:
        raw = ds.get_item(keyword)
        content = None if raw is None else raw.value
        if str(content.decode("latin-1") if isinstance(content, bytes) else content or "").strip(" \0"):
            name = {"RescaleSlope": "Rescale Slope"}.get(keyword, "Rescale Intercept")
            raise InputError(f"{name} is {content!r}"[:80], "a finite number", "export it again")
    return found


def lut_table(lut: Dataset, signed: bool) -> tuple[tuple[float, ...], int, int] | None:
    """(entries, first mapped value, bits of an entry) of a Modality or VOI LUT item, or None if it is broken.

    LUT Descriptor: a count of 0 means 65,536; the first value has the sign of the pixels (PS3.3 C.11.1.1).
    """
    descriptor = numbers(lut, "LUTDescriptor", 3)
    if descriptor is None:
        return None
    count, first, bits = (int(item) for item in descriptor)
    count = count % (1 << 16) or 1 << 16
    if signed and first >= 1 << 15:
        first -= 1 << 16
    entries = tuple(_entries(lut, count))
    return (entries, first, bits) if len(entries) == count and 1 <= bits <= 16 else None


def _entries(lut: Dataset, count: int) -> Iterator[float]:
    """LUT Data is a list of numbers, or bytes of 16-bit words, or (for 8 bits) of single bytes."""
    data = value(lut, "LUTData")
    if isinstance(data, bytes):
        yield from words_of(data, count, lut.original_encoding[1] is not False).tolist()
        return
    yield from (numbers(lut, "LUTData") or [])[:count]
