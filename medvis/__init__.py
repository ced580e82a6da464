"""medvis: medical and industrial image diagnostics. Research use only, not a medical device.

The public API is loaded on first use, so that ``import medvis`` costs nothing:

    >>> import medvis
    >>> report = medvis.diagnose("scan.dcm")            # doctest: +SKIP
    >>> pipeline = medvis.Pipeline("lung-nodule")
    >>> scan = medvis.load("scan.dcm")                  # doctest: +SKIP
    >>> outcome = pipeline.outcome(scan)                # doctest: +SKIP
    >>> outcome.report.findings, outcome.case.mask      # doctest: +SKIP

Every error that is raised on purpose is a `medvis.MedvisError`; its kinds are in `medvis.errors`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers take it to be true; typing itself takes 14 ms to import
__version__ = "0.1.0"
__all__ = [
    "BatchError",
    "InputError",
    "MedvisError",
    "ModelError",
    "Outcome",
    "OutputError",
    "Pipeline",
    "Report",
    "Scan",
    "SettingsError",
    "StageError",
    "UsageError",
    "__version__",
    "diagnose",
    "errors",
    "load",
]

if TYPE_CHECKING:
    from medvis import errors
    from medvis.batch.single import diagnose
    from medvis.core.outcome import Outcome
    from medvis.core.report import Report
    from medvis.core.scan import Scan
    from medvis.errors import (
        BatchError,
        InputError,
        MedvisError,
        ModelError,
        OutputError,
        SettingsError,
        StageError,
        UsageError,
    )
    from medvis.pipeline import Pipeline, load

_MODULES = {
    "diagnose": "medvis.batch.single",
    "load": "medvis.pipeline",
    "Outcome": "medvis.core.outcome",
    "Pipeline": "medvis.pipeline",
    "Report": "medvis.core.report",
    "Scan": "medvis.core.scan",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'medvis' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point of this function is to import late

    module = import_module(_MODULES.get(name, "medvis.errors"))
    return module if name == "errors" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
