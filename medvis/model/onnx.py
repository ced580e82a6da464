"""The default runtime: ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medvis.core.arrays import Float32s
from medvis.errors import ModelError
from medvis.model.bundle import checked_weights, read_card
from medvis.model.card import OUTPUTS
from medvis.model.session import cpu_session


class OnnxPredictor:
    """A loaded bundle; see `core.protocols.Predictor`.

    Args:
        folder: the bundle.
        threads: for one forward pass; 0: all cores this process may use.

    Raises:
        ModelError: absent, altered, or not the graph that the card describes.
    """

    name = "onnx"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.card = read_card(folder)
        try:
            self._session = cpu_session(checked_weights(folder, self.card.model), threads)
        except ModelError:
            raise
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise ModelError(f"{folder / self.card.model.file} cannot be loaded: {error}") from error
        self._check_graph(folder)

    def __call__(self, batch: Float32s, outputs: Sequence[str] = OUTPUTS) -> dict[str, Float32s]:
        """One forward pass, see `core.protocols.Predictor`. Raises ModelError for a batch that does not fit."""
        contract = self.card.input
        fits = batch.ndim == 4 and batch.shape[1] == contract.channels
        if not fits or batch.shape[2] % contract.multiple_of or batch.shape[3] % contract.multiple_of:
            want = f"[b, {contract.channels}, h, w] with h and w multiples of {contract.multiple_of}"
            raise ModelError(f"a batch of shape {list(batch.shape)} does not fit the model", want)
        values = self._session.run(list(outputs), {"image": batch})
        return dict(zip(outputs, values, strict=True))

    def _check_graph(self, folder: Path) -> None:
        path, card = folder / self.card.model.file, self.card
        given = {item.name: item.shape for item in (*self._session.get_inputs(), *self._session.get_outputs())}
        if not set(given).issuperset(OUTPUTS) or [item.name for item in self._session.get_inputs()] != ["image"]:
            raise ModelError(f"{path} has {', '.join(given)}", f"image, {', '.join(OUTPUTS)}")
        widths = {"image": card.input.channels, "class_logits": len(card.labels), "mask_logits": len(card.masks)}
        for name, width in widths.items():
            channels = given[name][1] if len(given[name]) > 1 else width  # a graph may leave its shapes open
            if isinstance(channels, int) and channels != width:
                raise ModelError(f"{path}: {name} has {channels} channels", f"{width} as on its card")
