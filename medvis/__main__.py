"""`python -m medvis`, and the command `medvis`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; an interrupt while it is still being imported is said as any other."""
    try:
        from medvis.cli.main import main as run  # noqa: PLC0415 - typer is what an interrupt may come into

        run()
    except KeyboardInterrupt:
        from medvis.errors import INTERRUPTED  # noqa: PLC0415 - as above

        sys.stderr.write("medvis: interrupted\n")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
