"""`python -m medvis`, and the command `medvis`."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def _terminated(number: int, _: FrameType | None) -> None:
    """Ends the program as an error would, so that private folders go; a second signal does not disturb it."""
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Runs the command line; an interrupt while it is still being imported is said as any other."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores one of them
            signal.signal(number, _terminated)
    try:
        from medvis.cli.main import main as run  # noqa: PLC0415 - typer is what an interrupt may come into

        run()
    except KeyboardInterrupt:
        from medvis.errors import INTERRUPTED  # noqa: PLC0415 - as above

        sys.stderr.write("medvis: interrupted\n")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
