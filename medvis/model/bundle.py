"""Finding a bundle and reading its card. The weights' hash is checked before anything is loaded from them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from medvis import plugins
from medvis.errors import ModelError
from medvis.model.card import Card, ModelFile

CARD = "card.yaml"
TRAIN = "a task without a model can be trained: medvis train, medvis export"


def bundle_folder(bundle: str, base: Path | None = None) -> Path:
    """The folder of a registered bundle, or of a user's own beside the task's YAML.

    Raises:
        ModelError: there is no such bundle.
    """
    if bundle in plugins.names("medvis.bundles"):
        folder = Path(plugins.load("medvis.bundles", bundle))
    else:
        folder = (base or Path()) / bundle
    if not (folder / CARD).is_file():
        known = ", ".join(plugins.names("medvis.bundles"))
        raise ModelError(f"no model card {folder / CARD}", f"a bundle folder, or one of {known}", TRAIN)
    return folder


def read_card(folder: Path) -> Card:
    """The card of a bundle. Raises ModelError if it is not readable or does not fit the schema."""
    path = folder / CARD
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        raise ModelError(f"{path}: {key}: {first['msg'].lower()}") from error


def checked_weights(folder: Path, model: ModelFile) -> bytes:
    """The bytes of a model file, after their hash was found to match the card.

    Raises:
        ModelError: the file is absent or altered.
    """
    path = folder / model.file
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint="reinstall medvis or the bundle") from error
    digest = hashlib.sha256(body).hexdigest()
    if digest != model.sha256:
        raise ModelError(
            f"{path} has SHA-256 {digest[:12]}…",
            f"{model.sha256[:12]}… as on its card",
            "the weights were altered",
        )
    return body


@lru_cache(maxsize=8)
def _parsed(text: str) -> Card:
    """The card in a text: read for its contract before the model is, and again with the model."""
    return Card.model_validate(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
