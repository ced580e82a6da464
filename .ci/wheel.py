"""Whether the wheel in a folder holds all that medvis needs beside its modules: tasks, models, help pages."""

import sys
from pathlib import Path
from zipfile import ZipFile

(wheel,) = Path(sys.argv[1]).glob("medvis-*.whl")
inside = set(ZipFile(wheel).namelist())
tasks = sorted(path.stem for path in Path("configs").glob("*.yaml"))
pages = sorted(path.name for path in Path("medvis/help").glob("*.md"))
bundles = sorted(path.name for path in Path("medvis/bundles").iterdir() if path.is_dir() and path.name in tasks)
wanted = [
    "medvis/py.typed",
    *(f"medvis/help/{page}" for page in pages),
    *(f"medvis/configs/{task}.yaml" for task in tasks),
]
wanted += [f"medvis/bundles/{task}/{name}" for task in bundles for name in ("model.onnx", "card.yaml")]
missing = sorted(set(wanted) - inside)
if missing or "lung-nodule" not in bundles or not pages:
    sys.exit(f"{wheel.name} lacks {', '.join(missing) or 'models or help pages'}")
sys.stdout.write(
    f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(inside)} files, tasks: {', '.join(tasks)}; "
    f"models: {', '.join(bundles)}; {len(pages)} help pages\n"
)
