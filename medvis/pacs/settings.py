"""The settings of `medvis listen`, and the files that TLS needs."""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medvis.errors import SettingsError, UsageError

PORT = 11112  # registered for DICOM (PS3.8 9.1.1)
AET = "MEDVIS"
MAX_PDU = 1 << 20


class _NetworkSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_NetworkSettings):
    """Certificate and key in PEM that show who we are, and the authorities that the other side is checked against.

    For a listener, `ca` means that clients must show a certificate signed by it (mutual authentication).
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @model_validator(mode="after")
    def _paired(self) -> Tls:
        if self.key is not None and self.cert is None:
            raise ValueError("a key without a certificate (--tls-cert)")
        return self


class ListenSettings(_NetworkSettings):
    """Everything about `medvis listen`, except the settings of the task.

    Attributes:
        aet: our application entity title; an association that calls another one is rejected.
        allow: the calling titles that are let in; empty: any (on the loopback interface or with `tls.ca` only).
        to: where results go, ``AET@host:port``, ``dicoms://AET@host:port`` or a DICOMweb URL; None: they stay here.
        quiet_period: seconds without a new instance after which a study is complete.
        keep_days: how long a study that is done stays on the disk.
        max_associations: how many may be open at once.
        max_per_address: how many connections of one address may be open at once; None: three quarters of
            `max_associations`, so that no address takes them all.
        max_association_mb: what one association may send.
        max_pdu: bytes that we accept in one PDU (PS3.8 D.1); one above 1 MiB ends the connection.
        max_object_mb: largest data set; it is held in memory while it arrives.
        min_free_mb: what must stay free on the disk; below, C-STORE answers "out of resources".
        timeout: seconds of silence after which an association is ended, and for one PDU, begin to end.
        request_timeout: seconds for one message, command and data set.
        study_timeout: seconds that one diagnosis may take; a second worker gives each study a sixth of it, once.
        diagnose_attempts: how often a diagnosis that crashed or ran out of time is tried.
        send_attempts: how often sending is tried before the study is set aside.
        backoff: seconds before the second attempt; doubled each time, up to `backoff_most`.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=PORT, ge=0, le=65535)
    aet: str = AET
    allow: list[str] = []
    to: str | None = None
    task: str = "auto"
    write: list[str] = ["json", "seg", "sr", "sc"]
    store: Path = Path("medvis-store")
    quiet_period: float = Field(default=5.0, ge=0, le=31_536_000)
    keep_days: float = Field(default=7.0, ge=0, le=36_500)
    tls: Tls = Tls()
    max_associations: int = Field(default=8, ge=1, le=200)
    max_per_address: int | None = Field(default=None, ge=1, le=800)
    max_association_mb: int = Field(default=65_536, ge=1, le=1_000_000_000)
    max_pdu: int = Field(default=1 << 17, ge=4096, le=MAX_PDU)
    max_object_mb: int = Field(default=2048, ge=1, le=1_000_000)
    min_free_mb: int = Field(default=512, ge=0, le=1_000_000_000_000_000)
    timeout: float = Field(default=60.0, gt=0, le=86_400)
    request_timeout: float = Field(default=1800.0, gt=0, le=86_400)
    study_timeout: float = Field(default=1800.0, gt=0, le=31_536_000)
    diagnose_attempts: int = Field(default=5, ge=1, le=10_000)
    send_attempts: int = Field(default=20, ge=1, le=10_000)
    backoff: float = Field(default=5.0, gt=0, le=86_400)
    backoff_most: float = Field(default=1800.0, gt=0, le=86_400)

    @field_validator("aet")
    @classmethod
    def _title(cls, value: str) -> str:
        return ae_title(value)

    @field_validator("allow")
    @classmethod
    def _titles(cls, values: list[str]) -> list[str]:
        return [ae_title(value) for value in values]

    def wait(self, attempts: int) -> float:
        """Seconds until the next attempt, after so many have failed."""
        return float(min(self.backoff * 2.0 ** min(attempts - 1, 30), self.backoff_most))

    def check_reach(self) -> None:
        """Raises UsageError where the network could send us anything without being asked who it is."""
        if not is_loopback(self.host) and not self.allow and self.tls.ca is None:
            raise UsageError(
                f"--host {self.host} opens the port to the network, for anybody",
                "--allow with the titles that may send, or --tls-ca",
            )


def ae_title(text: str) -> str:
    """An application entity title: up to 16 characters of the default repertoire without backslash (PS3.5 6.2).

    Raises:
        ValueError: it is not one.
    """
    title = text.strip()
    if not 1 <= len(title) <= 16 or not all(" " <= char <= "~" and char != "\\" for char in title):
        raise ValueError(f"'{text}' is no application entity title of 1 to 16 plain characters")
    return title


def need(*modules: str) -> None:
    """Raises SettingsError unless the modules of the extra are installed; does not import them."""
    for module in modules:
        if find_spec(module) is None:
            raise SettingsError(f"{module} is not installed", hint="pip install 'medvis[pacs]'")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, without asking a name server."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
