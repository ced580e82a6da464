"""Reads the files whose paths come on standard input, one a line, and says for each what came of it, as a JSON line.

Run as a process of its own, so that whoever gives it damaged files survives it.
"""

import json
import resource
import sys
import time
import traceback
from pathlib import Path

_ADDRESS_SPACE = 6 << 30
"""Bytes; the guard of the machine. What is reported is the memory that was really used."""


def peak_mb() -> float:
    """The greatest memory in use since `forget`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def forget() -> None:
    """Starts counting the greatest memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def outcome(path: str) -> dict:
    """What came of one file."""
    from medvis.errors import InputError
    from medvis.io.open import open_scan

    forget()
    clock, wall = time.process_time(), time.monotonic()
    try:
        scan = open_scan(path)
        found = {"kind": "scan", "finite": bool(abs(scan.pixels).max(initial=0) < float("inf"))}
    except InputError as error:
        found = {"kind": "refused", "line": error.line}
    except BaseException:
        found = {"kind": "traceback", "line": traceback.format_exc()}
    used = {"cpu": time.process_time() - clock, "wall": time.monotonic() - wall, "mb": peak_mb()}
    return found | used


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for asked in sys.stdin:
        sys.stdout.write(json.dumps(outcome(asked.rstrip("\n"))) + "\n")
        sys.stdout.flush()
