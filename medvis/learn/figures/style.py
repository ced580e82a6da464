"""How plots look: colours that all eyes tell apart (Okabe and Ito 2008), and text that is readable 780 px wide.

Matplotlib's object interface, without pyplot: no window, no state, and the same numbers give the same bytes.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from medvis.errors import OutputError
from medvis.io.atomic import whole_file
from medvis.io.picture.text import code_point

FONT, SMALL, DPI = "DejaVu Sans", 9.0, 110
WIDE = 7.09  # inches: 780 px
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#707070"
STYLE: Any = {
    "font.size": 10.0,
    "font.family": FONT,
    "text.parse_math": False,  # a $ in a name is a $
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
}


def styles() -> Any:  # noqa: ANN401 - an endless iterator
    """Colours, each with a dash of its own, so that grey print and all eyes tell the lines apart."""
    return zip(cycle(COLOURS), cycle(DASHES), strict=False)


@lru_cache(maxsize=4096)
def legible(text: str, most: int = 60) -> str:
    r"""A name on one line of `most` characters, its middle left out; what the font lacks as code point (``\u5934``)."""
    font = get_font(findfont(FONT))
    line = " ".join(text.split())
    shown = "".join(char if font.get_char_index(ord(char)) else code_point(char) for char in line)
    tail = most // 2
    return shown if len(shown) <= most else f"{shown[: most - tail - 1]}…{shown[-tail:]}"


def below(figure: Figure, axes: Any, note: str = "") -> None:  # noqa: ANN401 - matplotlib's axes
    """The legend under the axes, where it covers nothing, and a note under it."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        words = {"title": note or None, "title_fontsize": SMALL, "alignment": "left"}
        figure.legend(handles, labels, loc="outside lower left", **words)


def save(figure: Figure, path: Path) -> None:
    """Whole or not at all, without the library's name and the time in the file."""
    try:
        with whole_file(path) as stream:
            figure.savefig(stream, format="png", metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
