"""What the engine is told, from the environment alone (`PACHD_…`); no logic reads os.environ."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where it listens, where it keeps things, and how it runs jobs."""

    model_config = SettingsConfigDict(env_prefix="PACHD_", frozen=True)

    address: str = "127.0.0.1:0"  # port 0: a free one, which is printed
    home: Path  # all of its state
    images: Path  # the image store that jobs' images are taken from
    runtime: Literal["auto", "bubblewrap", "podman", "plain"] = "auto"
    # By the name of an image: the environment variables that programs of this host get which run under that name.
    system_images: dict[str, dict[str, str]] = {}
    # What `authn-token` must be; empty: anybody who reaches the address may do anything.
    token: SecretStr = SecretStr("")
    workers: int = Field(default=os.cpu_count() or 1, gt=0)  # datums at once
