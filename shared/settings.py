"""Where the three outside systems are, from the environment alone (`KAOS_…`); no logic reads os.environ."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.addresses import allowed
from shared.quantities import memory_bytes


def _readable(text: str) -> str:
    allowed(text)
    return text


def _memory(given: object) -> object:
    return memory_bytes(given) if isinstance(given, str) else given


class Settings(BaseSettings):
    """What every function needs; the embedded stack sets the same variables that a cluster's manifests set."""

    model_config = SettingsConfigDict(env_prefix="KAOS_", frozen=True)

    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str = ""
    nats_password: SecretStr = SecretStr("")

    s3_endpoint: str = "http://127.0.0.1:9000"
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")
    s3_region: str = "us-east-1"
    inbox_bucket: str = "kaos-inbox"
    logs_bucket: str = "kaos-logs"

    pachyderm_address: str = "127.0.0.1:30650"  # host:port, the port of a real pachd's NodePort
    pachyderm_token: SecretStr = SecretStr("")

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    builder_image: str = "kaos/builder"
    # Where builds without a container engine keep images, on this machine; None: nothing is swept. What no image needs
    # is kept for so many days after its last use: two weeks, as events, so that a holiday costs nobody a build from the
    # start; never less than the day that a build may take.
    images: Path | None = None
    images_keep_days: float = Field(default=14.0, ge=1)

    # Remote data. Allowed beside public addresses: host:port or networks (10.0.0.0/8), separated by commas or spaces.
    fetcher_image: str = "kaos/fetcher"
    fetch_secret: str = ""  # a Pachyderm secret with the fetcher's own settings; without one, its image brings them
    fetch_allow: Annotated[str, AfterValidator(_readable)] = ""
    fetch_buckets: str = ""  # S3 buckets that manifests may read with kaos's own credentials, separated by spaces
    fetch_manifest_max_bytes: int = Field(default=2**40, gt=0)  # of all files of a manifest, where it names their sizes

    # The gateway. Tokens and bundles pass in clear: in a cluster its address is an ingress's, which ends TLS.
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, le=65535)
    api_token: SecretStr = SecretStr("")
    webhook_token: SecretStr = SecretStr("")

    # The most that a trial may ask for; 0, or no number of GPUs: as much as any machine has. A cluster's nodes differ.
    trial_max_cpu: float = Field(default=0, ge=0, le=10_000)
    trial_max_memory: Annotated[int, BeforeValidator(_memory)] = Field(default=0, ge=0)  # bytes; 8Gi and the like too
    trial_max_gpus: int | None = Field(default=None, ge=0)

    # The relay: how often it lists the inbox for objects whose notification got lost.
    sweep_seconds: float = Field(default=30.0, gt=0)

    # Bundles: facts/reliability.md, bad inputs 7. A 1 GiB data bundle is an everyday one; 64 GiB is a mistake.
    bundle_max_bytes: int = Field(default=64 * 2**30, gt=0)
    bundle_max_entries: int = Field(default=200_000, gt=0)
