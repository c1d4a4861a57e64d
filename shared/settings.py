"""The environment, read once, here and nowhere else (DESIGN section 3.3)."""

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_KAFKA = "HEADRACE_KAFKA_"


class Settings(BaseSettings):
    """`HEADRACE_*` variables; every one has a default that works on a laptop.

    `log`: `sqlite:///path` or `kafka://host:port,host:port`; `online`: `sqlite:///path` or
    `redis://host:port`; `blobs`: `file:///path`. Empty means: inside the data directory. `signing_key`:
    path of a PEM file with an Ed25519 private key; `trusted_keys`: of one with the public keys that are
    trusted beside it; `revoked_keys`: ids of keys that are trusted no more, with commas. `kafka`: what
    `HEADRACE_KAFKA_*` say, by kafka-python's names (`HEADRACE_KAFKA_SASL_MECHANISM` is
    `sasl_mechanism`).
    """

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True)

    log: str = ""
    online: str = ""
    blobs: str = ""
    signing_key: Path | None = None
    trusted_keys: Path | None = None
    revoked_keys: str = ""
    api_token: SecretStr | None = None
    train_engine: str = "local"
    kafka: dict[str, str] = Field({}, repr=False, description="may hold a password")
    durable: bool = Field(
        True, description="fsync every commit; false survives a crash of the process only"
    )

    @property
    def revoked(self) -> frozenset[str]:
        """The ids in `revoked_keys`."""
        return frozenset(name.strip() for name in self.revoked_keys.split(",") if name.strip())

    @property
    def token(self) -> str | None:
        """What HTTP callers have to show; None: nothing."""
        return self.api_token.get_secret_value() if self.api_token else None


def load() -> Settings:
    """The settings of this process."""
    options = {
        name.removeprefix(_KAFKA).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_KAFKA)
    }
    return Settings(kafka=options)


def inherited() -> dict[str, str]:
    """The whole environment, for a process of our own that is started with it."""
    return dict(os.environ)
