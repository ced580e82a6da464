"""Weights and the shape of their network in one safetensors file: loading it runs no code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from medvis.errors import ModelError
from medvis.nets.model import DualStreamUNetPP, NetSpec


def save_net(net: DualStreamUNetPP, path: Path) -> None:
    """Writes the weights, with the `NetSpec` as metadata."""
    tensors = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(tensors, str(path), metadata={"spec": json.dumps(net.spec.as_dict())})


def load_net(path: Path) -> DualStreamUNetPP:
    """The network, in evaluation mode. Raises ModelError if the file is absent or not one of ours."""
    try:
        with safe_open(str(path), framework="pt") as file:
            spec = json.loads((file.metadata() or {})["spec"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        spec["cuts"] = [tuple(cut) for cut in spec["cuts"]]
        net = DualStreamUNetPP(NetSpec(**{**spec, "widths": tuple(spec["widths"])}))
        net.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        wanted = "the model.safetensors of 'medvis train'"
        raise ModelError(f"{path} holds no medvis weights: {error}", wanted) from error
    return net.eval()
