"""The environment, read once, here and nowhere else (DESIGN section 3.3)."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`HEADRACE_*` variables; every one has a default that works on a laptop.

    `log`: `sqlite:///path`; `online`: the same; `blobs`: `file:///path`. Empty means: inside the data
    directory. `signing_key`: path of a PEM file with an Ed25519 private key.
    """

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True)

    log: str = ""
    online: str = ""
    blobs: str = ""
    signing_key: Path | None = None
    api_token: SecretStr | None = None
    train_engine: str = "local"
    durable: bool = Field(
        True, description="fsync every commit; false survives a crash of the process only"
    )


def load() -> Settings:
    """The settings of this process."""
    return Settings()
