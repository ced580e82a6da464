"""heatmap.png: what the model saw and where, on one page that is readable at a glance.

One frame: the slice with the evidence and the findings over it, and plain. A series: the key slice of each finding with
a close-up, and an overview of the frames. Always: verdict, findings, legend, window, the notice.
"""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2

from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.report import Report
from medvis.core.wording import size_of, spacing_of
from medvis.errors import OutputError
from medvis.io.colours import LINE, MUTED, TEXT
from medvis.io.picture import sidebar
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.pages import drawn_frames, series_page, single_page
from medvis.io.picture.slices import Slices
from medvis.io.picture.text import LINE_HEIGHT, READABLE, broken, wrapped

_MARGIN, _FOOTER = 24, 88
_TITLE = 32
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
        raise OutputError(f"a picture of {picture.shape[0]}x{picture.shape[1]} px could not be encoded as PNG")
    encoded: bytes = data.tobytes()
    return encoded


def draw(outcome: Outcome) -> Canvas:
    """The whole page: 1292 px wide, so that its text can be read where it is shown 780 px wide."""
    report = outcome.report
    slices = Slices(outcome.case, outcome.display)
    whole_slices = slices.scan.frames > 1 and bool(report.findings)
    pictures = (series_page if whole_slices else single_page)(slices, report.findings)
    column = sidebar.draw_sidebar(report, slices, drawn_frames(slices, report.findings))
    (wide, high), (beside, tall) = pictures.size, column.size
    width = wide + beside + 3 * _MARGIN
    header = _header(report, slices, width)
    top = header.size[1]
    page = Canvas(width, max(high, tall) + top + _FOOTER)
    page.paste(0, 0, header.pixels)
    page.paste(_MARGIN, top, pictures.pixels)
    page.paste(wide + 2 * _MARGIN, top, column.pixels)
    _footer(page, report)
    return page


def _header(report: Report, slices: Slices, width: int) -> Canvas:
    """Title, file name and what is known of the scan, each in as many lines as it needs."""
    room = width - 2 * _MARGIN
    title = wrapped(report.title, _TITLE, room, 2)
    lines = [(line, TEXT) for line in broken(PurePath(report.scan.path).name, READABLE, room, 2)]
    lines += [(line, MUTED) for line in wrapped("  ·  ".join(_facts(report, slices)), READABLE, room, 3)]
    header = Canvas(width, 18 + 40 * len(title) + LINE_HEIGHT * len(lines) + 16)
    y = 18
    for line in title:
        header.text(_MARGIN, y + 28, line, Style(_TITLE, TEXT))
        y += 40
    for line, colour in lines:
        header.text(_MARGIN, y + 20, line, Style(colour=colour))
        y += LINE_HEIGHT
    return header


def _facts(report: Report, slices: Slices) -> list[str]:
    scan = report.scan
    mm = spacing_of(scan.spacing_mm)
    if scan.slice_spacing_mm is not None:
        mm += f", {scan.slice_spacing_mm:.3g} mm between slices"
    kind = " ".join(part for part in (scan.modality, scan.body_part) if part)
    frames = f"{scan.frames} slices of " if scan.frames > 1 else ""
    unit = "" if scan.unit in ("grey", "US") else f" {scan.unit}"
    window = f"{slices.window_words}{unit}" if slices.window_words else ""
    return [part for part in (kind, f"{frames}{size_of(scan.rows, scan.cols)}", mm, window) if part]


def _footer(page: Canvas, report: Report) -> None:
    width, height = page.size
    page.fill(Rect(_MARGIN, height - _FOOTER + 14, width - 2 * _MARGIN, 1), LINE)
    made = f"medvis {report.provenance.medvis}, model {report.provenance.model_name}"
    page.text(_MARGIN, height - 46, report.notice, Style(colour=TEXT), width - 2 * _MARGIN)
    page.text(_MARGIN, height - 19, made, Style(colour=MUTED), width - 2 * _MARGIN)
