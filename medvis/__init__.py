"""medvis: medical and industrial image diagnostics. Research use only, not a medical device.

The public API is loaded on first use, so that ``import medvis`` costs nothing:

    >>> import medvis
    >>> scan = medvis.load("scan.dcm")          # doctest: +SKIP
    >>> report = medvis.diagnose("scan.dcm")    # doctest: +SKIP
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers take it to be true; typing itself takes 14 ms to import
__version__ = "0.1.0"
__all__ = ["Report", "__version__", "diagnose", "load"]

if TYPE_CHECKING:
    from medvis.core.report import Report
    from medvis.pipeline import diagnose, load

_LAZY = {"load": "medvis.pipeline", "diagnose": "medvis.pipeline", "Report": "medvis.core.report"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'medvis' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point of this function is to import late

    return getattr(import_module(_LAZY[name]), name)
