"""`kaos init`: names the stack that later commands use, when it isn't the one that `kaos up` started here."""

import ipaddress
import json
import os
import sys

import click

from kaos.cli import state, terminal, web
from kaos.cli.client import Client
from kaos.cli.options import as_json


@click.command()
@click.option("-e", "--endpoint", required=True, help="Its address, like https://kaos.example.org.")
@click.option("--token-stdin", is_flag=True, help="Read its token from standard input.")
@as_json
def init(endpoint: str, token_stdin: bool, as_json: bool) -> None:
    """Use a stack that runs elsewhere.

    Its token comes from --token-stdin, from the variable KAOS_TOKEN, or is asked for: never from the command line,
    which every user of the machine can read.
    """
    chosen = state.Connection(endpoint.rstrip("/"), _token(from_stdin=token_stdin))
    if _in_clear(chosen.endpoint):
        click.echo("The token will travel in clear: use https unless you trust every network between.", err=True)
    found = Client(chosen).info()
    state.connect(state.home(), chosen)
    if as_json:
        click.echo(json.dumps({"endpoint": chosen.endpoint, "info": found}))
    else:
        terminal.done(f"kaos {terminal.safe(found['version'])} at {chosen.endpoint} is set.")


def _token(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().strip()
    if token := os.environ.get("KAOS_TOKEN", ""):
        return token
    if sys.stdin.isatty():
        return str(click.prompt("Token", hide_input=True))
    raise click.UsageError("No token: pipe it into --token-stdin, or set the variable KAOS_TOKEN.")


def _in_clear(endpoint: str) -> bool:
    parts = web.parse(endpoint)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return parts.scheme == "http" and not local
