"""No Python file of medvis is above 300 lines."""

import sys
from pathlib import Path

MOST = 300

lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sorted(Path("medvis").rglob("*.py"))}
long = [f"{path}: {count} lines, wanted: at most {MOST}" for path, count in lengths.items() if count > MOST]
if long:
    sys.exit("\n".join(long))
