"""The secret that ties old identifiers to new ones: the same key gives the same ones, no key gives none back.

A new identifier is a keyed hash (HMAC-SHA-256, RFC 2104) of the old one. Without the key, the old one can neither be
computed nor confirmed by trying; a run without a key file makes a key of its own and forgets it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import date, timedelta
from pathlib import Path

from medvis.dicom.uids import uid_of_bits
from medvis.errors import SettingsError

LEAST = 16  # bytes of a key
_HOW = "make one with: openssl rand -hex 32 > FILE"
YEARS = 10  # the most by which dates are moved
_STANDARD = "1.2.840.10008."  # UIDs that DICOM itself has given out: they name classes, not patients


class Secret:
    """Makes the new identifiers.

    Args:
        key: at least 16 bytes; None: random, for one run.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """The key in a file, white space around it aside. Raises SettingsError."""
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            problem = f"key file {path} cannot be read: {error.strerror or error}"
            raise SettingsError(problem, f"a file of at least {LEAST} bytes", _HOW) from error
        if len(key) < LEAST:
            raise SettingsError(f"key file {path} holds {len(key)} bytes", f"at least {LEAST}", _HOW)
        return cls(key)

    def uid(self, old: str) -> str:
        """The new UID for an old one, below 2.25 (PS3.5 B.2); those that DICOM has given out stay."""
        if not old or old.startswith(_STANDARD):
            return old
        return uid_of_bits(self._hash("uid", old))

    def patient(self, old: str) -> str:
        """The new ID of a patient; as a name it is ``anon^ID``."""
        return self._hash("patient", old).hex()[:12]

    def moved(self, text: str, patient: str) -> str | None:
        """A date or date-time (DA, DT) moved into the past, by the same number of days for all of a patient's.

        Only the day changes. None for a text that holds no date.
        """
        days = 1 + int.from_bytes(self._hash("days", patient)[:8], "big") % (365 * YEARS)
        digits = text.strip()[:8]
        try:
            old = date.fromisoformat(f"{digits[:4]}-{digits[4:6] or '01'}-{digits[6:] or '01'}")
            new = old - timedelta(days=days)
        except (ValueError, OverflowError):
            return None
        return f"{new:%Y%m%d}".zfill(8)[: len(digits)] + text.strip()[8:]

    def _hash(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}\n{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
