"""The four servers: which programs, with which settings. Secrets go by files and by the environment, never by argv."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from functions.build.builder.interpreter import SETTINGS
from functions.build.builder.uv import network
from kaos.stack import probes
from kaos.stack.home import Home, Secrets, write_text
from kaos.stack.ports import HOST, Ports
from kaos.stack.supervisor import Probe, Server
from kaos.templates import datasets
from shared.errors import KaosError
from shared.sandbox import available

_BUILDER_IMAGE: Final = "kaos/builder"
_FETCHER_IMAGE: Final = "kaos/fetcher"
SUBSCRIBER: Final = "subscriber"
_USER: Final = "kaos"
_REGION: Final = "us-east-1"

# What the user's shell tells clients of such servers is not meant for these ones; other KAOS_ variables are: they are
# the settings of functions.
_FOREIGN_PREFIXES: Final = ("AWS_", "JFS_", "MINIO_", "NATS_", "PACH_", "PACHD_", "KAOS_ENDPOINT", "KAOS_TOKEN")
# A proxy leads out of this machine; the stack stays in it.
_NO_PROXY: Final = f"{HOST},localhost"
# Go's collector lets the heap double before it runs, here grow by a fifth: the store takes 98 MB and not 119 when idle,
# after uploads 110 and not 258. Uploads and downloads are as fast.
_FRUGAL_GO: Final = {"GOGC": "20"}
# glibc gives each thread an arena of its own, and memory freed in one is not used by another. Pieces of large files, of
# 1 MiB, it would give back to the kernel after each and ask for again: 2 s of CPU for 1 GiB in the engine alone.
_FRUGAL_PYTHON: Final = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "PYTHONUNBUFFERED": "1",
}

# The webhook has two ways: FAST tells in a millisecond and loses what nobody hears, SAFE queues on disk and tells
# within three seconds. What both tell is one event.
WEBHOOKS: Final = ("FAST", "SAFE")

# nats-server: what subscribers may read, and what an ordered consumer of JetStream asks for. Consumers with names are
# not among it: who may make those could change the ones that wake the functions.
_NATS_CONFIGURATION: Final = """\
server_name: kaos
listen: "{host}:{port}"
jetstream {{
  store_dir: {folder}
  sync_interval: always
}}
authorization {{
  users: [
    {{ user: {user}, password: "{password}" }}
    {{
      user: {subscriber}
      password: "{subscriber_password}"
      permissions: {{
        subscribe: ["kaos.>", "_INBOX.>"]
        publish: [
          "$JS.API.INFO"
          "$JS.API.STREAM.NAMES"
          "$JS.API.STREAM.INFO.kaos-events"
          "$JS.API.STREAM.INFO.kaos-metrics"
          "$JS.API.STREAM.INFO.kaos-logs"
          "$JS.API.CONSUMER.CREATE.kaos-events"
          "$JS.API.CONSUMER.CREATE.kaos-metrics"
          "$JS.API.CONSUMER.CREATE.kaos-logs"
          "$JS.FC.kaos-events.>"
          "$JS.FC.kaos-metrics.>"
          "$JS.FC.kaos-logs.>"
        ]
      }}
    }}
  ]
}}
"""


@dataclass(frozen=True)
class Engine:
    """How the embedded Pachyderm runs jobs. `workers`: datums at a time; 0: as many as there are cores."""

    runtime: str = "auto"
    workers: int = 0


def servers(home: Home, ports: Ports, secrets: Secrets, engine: Engine) -> list[Server]:
    """All four, in the order in which others need them; writes the configuration that is theirs alone."""
    answers = probes_of(ports, secrets)
    return [
        _nats(home, ports, secrets, answers["nats"]),
        _s3(home, ports, secrets, answers["s3"]),
        _pachd(home, ports, secrets, engine, answers["pachd"]),
        _serve(home, ports, secrets, engine, answers["serve"]),
    ]


def probes_of(ports: Ports, secrets: Secrets) -> dict[str, Probe]:
    """How to find out whether each server serves."""
    return {
        "nats": lambda: probes.nats(ports.nats, _USER, secrets.nats_password),
        "s3": lambda: probes.http(ports.s3, "/minio/health/ready"),
        "pachd": lambda: probes.grpc(ports.pachd),
        "serve": lambda: probes.http(ports.gateway, "/healthz"),
    }


def credentials(ports: Ports, secrets: Secrets) -> dict[str, str]:
    """What a user's own programs need, by the names of the variables that they look for."""
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{ports.s3}",
        "AWS_ACCESS_KEY_ID": secrets.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_key,
        "AWS_DEFAULT_REGION": _REGION,
        "NATS_URL": f"nats://{SUBSCRIBER}:{secrets.subscriber_password}@{HOST}:{ports.nats}",
        "KAOS_ENDPOINT": f"http://{HOST}:{ports.gateway}",
        "KAOS_TOKEN": secrets.api_token,
    }


def _nats(home: Home, ports: Ports, secrets: Secrets, answers: Probe) -> Server:
    folder = home.of("nats")
    configuration = folder / "nats.conf"
    text = _NATS_CONFIGURATION.format(
        host=HOST,
        port=ports.nats,
        folder=json.dumps(str(folder), ensure_ascii=False),
        user=_USER,
        password=secrets.nats_password,
        subscriber=SUBSCRIBER,
        subscriber_password=secrets.subscriber_password,
    )
    write_text(configuration, text)
    return Server(
        name="nats",
        command=(_program("nats-server"), "--config", str(configuration)),
        environment=_environment({}),
        folder=folder,
        log=home.log("nats"),
        port=ports.nats,
        answers=answers,
        grace=10.0,
    )


def _s3(home: Home, ports: Ports, secrets: Secrets, answers: Probe) -> Server:
    folder = home.of("s3")
    metadata, data = f"sqlite3://{folder / 'meta.db'}", f"{folder / 'data'}/"
    program = _program("juicefs")
    _format(folder, [program, "format", "--storage", "file", "--bucket", data, "--trash-days", "0", metadata, "kaos"])
    options = ["--no-usage-report", "--no-banner", "--log", str(home.log("s3")), "--cache-dir", str(folder / "cache")]
    options += ["--metrics", f"{HOST}:{ports.s3_metrics}", "--multi-buckets", "--keep-etag", "--object-meta"]
    # A cache on disk of what is on this disk would write all that is read a second time. Buffers of 300 MiB, which is
    # their default, hide the delays of stores that are far away; here they cost 30 MB, and 1 s of CPU for 1 GiB.
    options += ["--object-tag", "--cache-size", "0", "--prefetch", "0", "--buffer-size", "32"]
    # The directory may have been moved since it was formatted.
    options += ["--bucket", data]
    variables = {"MINIO_ROOT_USER": secrets.s3_access_key, "MINIO_ROOT_PASSWORD": secrets.s3_secret_key}
    for name in WEBHOOKS:
        variables[f"MINIO_NOTIFY_WEBHOOK_ENABLE_{name}"] = "on"
        variables[f"MINIO_NOTIFY_WEBHOOK_ENDPOINT_{name}"] = f"http://{HOST}:{ports.gateway}/webhooks/s3"
        variables[f"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_{name}"] = secrets.webhook_token
    variables["MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_SAFE"] = str(folder / "queue")
    return Server(
        name="s3",
        command=(program, "gateway", *options, metadata, f"{HOST}:{ports.s3}"),
        environment=_environment({**_FRUGAL_GO, **variables}),
        folder=folder,
        log=home.log("s3"),
        port=ports.s3,
        answers=answers,
        grace=10.0,
    )


def _pachd(home: Home, ports: Ports, secrets: Secrets, engine: Engine, answers: Probe) -> Server:
    variables = {
        "PACHD_ADDRESS": f"{HOST}:{ports.pachd}",
        "PACHD_HOME": str(home.of("pachd")),
        "PACHD_IMAGES": str(home.images),
        "PACHD_RUNTIME": engine.runtime,
        "PACHD_SYSTEM_IMAGES": json.dumps(
            {_BUILDER_IMAGE: _for_builder(home, engine), _FETCHER_IMAGE: _for_fetcher(ports, secrets)}
        ),
        "PACHD_TOKEN": secrets.pachd_token,
    }
    if engine.workers:
        variables["PACHD_WORKERS"] = str(engine.workers)
    return Server(
        name="pachd",
        command=_python("kaos.pachd"),
        environment=_environment({**_FRUGAL_PYTHON, **variables}),
        folder=home.of("pachd"),
        log=home.log("pachd"),
        port=ports.pachd,
        answers=answers,
        grace=15.0,
    )


def _serve(home: Home, ports: Ports, secrets: Secrets, engine: Engine, answers: Probe) -> Server:
    variables = {
        "KAOS_NATS_URL": f"nats://{HOST}:{ports.nats}",
        "KAOS_NATS_USER": _USER,
        "KAOS_NATS_PASSWORD": secrets.nats_password,
        **_store(ports, secrets),
        "KAOS_PACHYDERM_ADDRESS": f"{HOST}:{ports.pachd}",
        "KAOS_PACHYDERM_TOKEN": secrets.pachd_token,
        "KAOS_BUILDER_IMAGE": _BUILDER_IMAGE,
        "KAOS_IMAGES": str(home.images),
        "KAOS_FETCHER_IMAGE": _FETCHER_IMAGE,
        "KAOS_FETCH_ALLOW": _fetch_allow(ports),
        "KAOS_FETCH_BUCKETS": _fetch_buckets(),
        "KAOS_GATEWAY_HOST": HOST,
        "KAOS_GATEWAY_PORT": str(ports.gateway),
        "KAOS_API_TOKEN": secrets.api_token,
        "KAOS_WEBHOOK_TOKEN": secrets.webhook_token,
        **_most_of_a_trial(engine),
    }
    return Server(
        name="serve",
        command=_python("kaos.stack.serve"),
        environment=_environment({**_FRUGAL_PYTHON, **variables}),
        folder=home.root,
        log=home.log("serve"),
        port=ports.gateway,
        answers=answers,
        grace=15.0,
    )


def _most_of_a_trial(engine: Engine) -> dict[str, str]:
    """What a trial can have of this machine, so that more is refused at once; an operator may allow less."""
    from kaos.pachd.machine import capacity  # noqa: PLC0415  # looks for a driver of GPUs, which only a start needs

    found = capacity(engine.workers or os.cpu_count() or 1)
    most = {
        "KAOS_TRIAL_MAX_CPU": f"{found.cores:g}",
        "KAOS_TRIAL_MAX_MEMORY": str(found.memory),
        "KAOS_TRIAL_MAX_GPUS": str(len(found.gpus)),
    }
    return {name: os.environ.get(name, value) for name, value in most.items()}


def _for_builder(home: Home, engine: Engine) -> dict[str, str]:
    """What the program of a build job finds in its environment. Where jobs have no sandbox, neither have builds."""
    asked = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    found = {"KAOS_IMAGES": str(home.images), **network(trusted=True), **asked}
    if engine.runtime == "podman":
        found["KAOS_BUILD_ENGINE"] = "podman"
    elif engine.runtime == "plain" or (engine.runtime == "auto" and available(home.images)):
        found["KAOS_BUILD_PLAIN"] = "1"
    return found


def _for_fetcher(ports: Ports, secrets: Secrets) -> dict[str, str]:
    """The same for the program that fetches remote data; KAOS_FETCH_ variables are the operator's."""
    asked = {name: value for name, value in os.environ.items() if name.startswith("KAOS_FETCH_")}
    ours = {"KAOS_FETCH_ALLOW": _fetch_allow(ports), "KAOS_FETCH_BUCKETS": _fetch_buckets()}
    return {**asked, **ours, **_store(ports, secrets)}


def _fetch_allow(ports: Ports) -> str:
    """The operator's, and this stack's own object store: a manifest may hold links that it has signed."""
    return f"{os.environ.get('KAOS_FETCH_ALLOW', '')} {HOST}:{ports.s3}".strip()


def _fetch_buckets() -> str:
    """What manifests may read with the stack's own keys: the operator's buckets, and the one that the stack fills."""
    return f"{os.environ.get('KAOS_FETCH_BUCKETS', '')} {datasets.BUCKET}".strip()


def _store(ports: Ports, secrets: Secrets) -> dict[str, str]:
    return {
        "KAOS_S3_ENDPOINT": f"http://{HOST}:{ports.s3}",
        "KAOS_S3_ACCESS_KEY": secrets.s3_access_key,
        "KAOS_S3_SECRET_KEY": secrets.s3_secret_key,
        "KAOS_S3_REGION": _REGION,
    }


def _python(module: str) -> tuple[str, ...]:
    # -P: what lies in the working directory is never imported.
    return (sys.executable, "-P", "-m", module)


def _program(name: str) -> str:
    """A program that was installed with kaos. Raises KaosError `stack.program`."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise KaosError("stack.program", f"The program {name} is missing: install kaos again, with its dependencies.")
    return found


def _format(folder: Path, command: list[str]) -> None:
    """Makes the volume, once: the mark is written when it is whole."""
    mark = folder / "formatted"
    if mark.exists():
        return
    made = subprocess.run(command, env=_environment({}), capture_output=True, text=True, check=False)
    if made.returncode:
        reason = made.stderr.strip().splitlines()[-1:] or [f"exit code {made.returncode}"]
        raise KaosError("stack.s3-format", f"The object store can't be set up in {folder}: {reason[0][:400]}")
    mark.touch()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    return {**inherited, **dict(_without_proxy(inherited)), **variables}


def _without_proxy(inherited: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in ("no_proxy", "NO_PROXY"):
        yield name, ",".join(filter(None, (inherited.get(name, ""), _NO_PROXY)))
