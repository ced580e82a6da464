"""heatmap.png: what the model saw and where, on one page that is readable at a glance.

One frame: the slice twice, plain and with the evidence and the findings over it. A series: the key slice of each
finding with a close-up, and an overview of the frames. Always: verdict, findings, legend, window, the notice.
"""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2

from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.report import Report
from medvis.errors import OutputError
from medvis.io.colours import LINE, MUTED, TEXT
from medvis.io.picture import sidebar
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.pages import series_page, single_page
from medvis.io.picture.slices import Slices
from medvis.io.picture.text import fitted, width_of

_MARGIN, _HEADER, _FOOTER = 28, 84, 58
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 2]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # one filter for all rows halves the time; OpenCV before 4.12 has no choice
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


class HeatmapWriter(Writer):
    """Draws the page and writes it as PNG."""

    name = "heatmap"

    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """Always ``heatmap.png``."""
        del outcome_frames
        return ("heatmap.png",)

    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes it. Raises OutputError."""
        path = folder / "heatmap.png"
        path.write_bytes(png(outcome))
        return [path]


def png(outcome: Outcome) -> bytes:
    """The whole page as a PNG file. Raises OutputError."""
    picture = cv2.cvtColor(draw(outcome).pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", picture, _PNG)
    if not done:
        raise OutputError(f"a picture of {picture.shape[1]}x{picture.shape[0]} px could not be encoded as PNG")
    encoded: bytes = data.tobytes()
    return encoded


def draw(outcome: Outcome) -> Canvas:
    """The whole page."""
    report = outcome.report
    slices = Slices(outcome.case, outcome.display)
    whole_slices = slices.scan.frames > 1 and bool(report.findings)
    pictures = (series_page if whole_slices else single_page)(slices, report.findings)
    column = sidebar.draw_sidebar(report, slices, insets=0 if whole_slices else 3)
    (wide, high), (beside, tall) = pictures.size, column.size
    page = Canvas(wide + beside + 3 * _MARGIN, max(high, tall) + _HEADER + _FOOTER)
    page.paste(_MARGIN, _HEADER, pictures.pixels)
    page.paste(wide + 2 * _MARGIN, _HEADER, column.pixels)
    _header(page, report, slices)
    _footer(page, report)
    return page


def _header(page: Canvas, report: Report, slices: Slices) -> None:
    width = page.size[0] - 2 * _MARGIN
    page.text(_MARGIN, 38, report.title, Style(27, TEXT), width)
    unit = "" if report.scan.unit in ("grey", "US") else f" {report.scan.unit}"
    window = f"{slices.window_words}{unit}" if slices.window_words else ""
    spacing = report.scan.spacing_mm
    mm = "spacing unknown" if spacing is None else f"{spacing[0]:.3g} x {spacing[1]:.3g} mm per px"
    if report.scan.slice_spacing_mm is not None:
        mm += f", {report.scan.slice_spacing_mm:.3g} mm between slices"
    kind = " ".join(part for part in (report.scan.modality, report.scan.body_part) if part)
    frames = f"{report.scan.frames} slices of " if report.scan.frames > 1 else ""
    size = f"{frames}{report.scan.cols} x {report.scan.rows} px"
    rest = "  ·  ".join(part for part in (kind, size, mm, window) if part)
    name = fitted(PurePath(report.scan.path).name, 15, max(120, width - width_of(rest, 15) - 30), middle=True)
    page.text(_MARGIN, 64, f"{name}  ·  {rest}", Style(15, MUTED), width)


def _footer(page: Canvas, report: Report) -> None:
    width, height = page.size
    page.fill(Rect(_MARGIN, height - _FOOTER + 14, width - 2 * _MARGIN, 1), LINE)
    made = f"medvis {report.provenance.medvis}, model {report.provenance.model_name}"
    used = page.text(width - _MARGIN, height - 20, made, Style(14, MUTED, "right"), width // 3)
    page.text(_MARGIN, height - 20, report.notice, Style(16, TEXT), width - used - 3 * _MARGIN)
