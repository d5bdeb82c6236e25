"""`kaos up`, `kaos down`, `kaos status`: the stack of servers on this machine."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaos.cli import state, terminal
from kaos.cli.options import as_json
from shared.errors import Unreachable

if TYPE_CHECKING:
    from kaos.stack.home import Home
    from kaos.stack.status import Status
    from kaos.stack.supervisor import Watched

RUNTIMES = ("auto", "bubblewrap", "podman", "plain")
_PORT = click.IntRange(1, 65535)
_MIB = 1 << 20


@click.command()
@click.option("--detach", is_flag=True, help="Return when it is up; it stays up until `kaos down`.")
@click.option(
    "--port", "gateway", type=_PORT, help="Port of the API; each port is the one of last time, or a free one."
)
@click.option("--nats-port", "nats", type=_PORT, help="Port of NATS.")
@click.option("--s3-port", "s3", type=_PORT, help="Port of the object store.")
@click.option("--pachd-port", "pachd", type=_PORT, help="Port of Pachyderm's API.")
@click.option("--runtime", type=click.Choice(RUNTIMES), default="auto", help="What isolates jobs; auto: the best here.")
@click.option("--workers", type=click.IntRange(1), help="Datums processed at a time; else as many as there are cores.")
def up(detach: bool, runtime: str, workers: int | None, **ports: int | None) -> None:
    """Start the stack on this machine: NATS, an object store, Pachyderm's API and the functions of kaos.

    Its state is in KAOS_HOME (~/.kaos). Without --detach it runs until Ctrl-C. Later commands use it.
    """
    from kaos.stack.servers import Engine
    from kaos.stack.up import Options

    asked = {name: port for name, port in ports.items() if port}
    options = Options(state.home(), asked, Engine(runtime, workers or 0))
    if detach:
        from kaos.stack import background

        _use(background.start(options))
    else:
        from kaos.stack.up import up as run

        click.echo("Starting … (Ctrl-C stops it)")
        asyncio.run(run(options, ready=_use, tell=_tell))
        terminal.done("kaos is down.")


@click.command()
def down() -> None:
    """Stop the stack on this machine; its state stays."""
    from kaos.stack import background
    from kaos.stack.home import Home

    home = Home(state.home().absolute())
    if background.stop(home):
        terminal.done("kaos is down.")
    else:
        click.echo(f"kaos is not up (its state would be in {terminal.safe(str(home.root))}).")


@click.command()
@click.option("--credentials", is_flag=True, help="Write `export` lines for your own S3 and NATS clients.")
@as_json
@click.pass_context
def status(context: click.Context, credentials: bool, as_json: bool) -> None:
    """Tell whether all of the stack is well: exit code 0, 1 where a server is not, 3 where there is no stack.

    `eval "$(kaos status --credentials)"` lets `aws s3 cp` and NATS clients find the stack in this shell.
    """
    from kaos.stack.home import Home
    from kaos.stack.status import look

    home = Home(state.home().absolute())
    found = asyncio.run(look(home))
    if found is None:
        _look_elsewhere(as_json=as_json)
        return
    if credentials:
        _show_credentials(home, found, as_json)
    elif as_json:
        click.echo(json.dumps({"up": found.well, **asdict(found)}))
    else:
        _show(found)
    if not found.well:
        context.exit(1)


def _look_elsewhere(*, as_json: bool) -> None:
    """None is up here: asks the one that commands use, which may run elsewhere. Raises Unreachable."""
    from kaos.cli.client import Client

    try:
        chosen = state.connection(state.home())
        told = Client(chosen).info()
    except Unreachable:
        if as_json:
            click.echo(json.dumps({"up": False, "servers": []}))
        raise
    if as_json:
        click.echo(json.dumps({"up": True, "endpoint": chosen.endpoint, **told}))
    else:
        terminal.done(f"kaos {terminal.safe(told['version'])} answers at {chosen.endpoint}.")


def _use(home: "Home") -> None:
    """Makes the stack that has just come up the one of later commands, and tells where it is."""
    from kaos.stack import record
    from kaos.stack.home import secrets_of
    from kaos.stack.status import runtime_of

    known = record.read(home)
    assert known is not None, "the supervisor writes it before it says that it is ready"
    state.connect(home.root, state.Connection(known.endpoint, secrets_of(home).api_token))
    slowest = max(each.seconds_to_answer for each in known.servers.values())
    took = ", ".join(f"{name} {each.seconds_to_answer:.2f} s" for name, each in known.servers.items())
    terminal.done(f"kaos is up at {known.endpoint} after {terminal.duration(slowest)} ({took}).")
    if runtime := runtime_of(home):
        click.echo(f"  {terminal.safe(runtime)}")
    click.echo(f"  In a browser: {known.endpoint}/ (it asks for KAOS_TOKEN, which `kaos status --credentials` tells)")
    click.echo(f"  State and logs: {terminal.safe(str(home.root))}")
    click.echo("  `kaos status` tells how it is; `kaos status --credentials`, how your own S3 and NATS clients get in.")


def _tell(watched: "Watched", what: str) -> None:
    click.echo(f"{watched.server.name} {what} (its log: {terminal.safe(str(watched.server.log))})", err=True)


def _show_credentials(home: "Home", found: "Status", as_json: bool) -> None:
    from kaos.stack.home import secrets_of
    from kaos.stack.servers import credentials

    variables: Mapping[str, str] = credentials(found.ports, secrets_of(home))
    if as_json:
        click.echo(json.dumps(variables))
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _show(found: "Status") -> None:
    terminal.facts(
        {
            "kaos": f"{found.endpoint} (process {found.pid}, up for {terminal.duration(found.seconds)})",
            "page": f"{found.endpoint}/",
            "jobs": found.runtime,
            "state": found.home,
            "memory": f"{sum(each.memory for each in found.servers) / _MIB:.0f} MB in {len(found.servers)} servers",
        }
    )
    rows = [
        [
            each.name,
            each.state,
            each.address,
            str(each.pid or "-"),
            f"{each.memory / _MIB:.0f} MB" if each.memory else "-",
            terminal.duration(each.seconds) if each.seconds else "-",
            str(each.restarts),
        ]
        for each in found.servers
    ]
    terminal.table("Servers", ["server", "state", "address", "pid", "memory", "uptime", "restarts"], rows)
    for each in found.servers:
        if each.trouble:
            click.echo(f"{each.name}: {terminal.safe(each.trouble)}")
