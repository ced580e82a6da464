"""The training framework as a runtime: for bundles that carry their weights, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medvis.core.arrays import Float32s
from medvis.errors import ModelError
from medvis.model.bundle import checked_weights, read_card
from medvis.model.card import OUTPUTS
from medvis.model.session import thread_limit


class TorchPredictor:
    """A loaded bundle; see `core.protocols.Predictor`.

    Args:
        folder: the bundle, with `model.safetensors` beside its graph (`medvis export --keep-weights`).

    Raises:
        ModelError: torch is not installed, or the weights are absent or altered.
    """

    name = "torch"

    def __init__(self, folder: Path) -> None:
        try:
            import torch  # noqa: PLC0415 - an extra

            from medvis.nets.weights import load_net  # noqa: PLC0415 - needs torch
        except ImportError as error:
            raise ModelError("torch is not installed", hint="pip install 'medvis[train]', or backend: onnx") from error
        self.card = read_card(folder)
        if self.card.weights is None:
            raise ModelError(
                f"{folder} has no torch weights", "a bundle exported with --keep-weights, or backend: onnx"
            )
        checked_weights(folder, self.card.weights)
        self._torch = torch
        if thread_limit():
            torch.set_num_threads(thread_limit())
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._net = load_net(folder / self.card.weights.file).to(self._device)

    def __call__(self, batch: Float32s, outputs: Sequence[str] = OUTPUTS) -> dict[str, Float32s]:
        """One forward pass, see `core.protocols.Predictor`. Raises ModelError for a batch that does not fit."""
        with self._torch.no_grad():
            given = self._net(self._torch.from_numpy(batch).to(self._device))
        return {name: np.asarray(getattr(given, name).cpu().numpy(), np.float32) for name in outputs}
