"""`kaos template`: examples that train as they are."""

import json
from pathlib import Path

import click

from kaos import templates
from kaos.cli import terminal
from kaos.cli.options import as_json


@click.group()
def template() -> None:
    """Get an example to begin with."""


@template.command("list")
@as_json
def list_templates(as_json: bool) -> None:
    """All templates."""
    found = templates.every()
    if as_json:
        click.echo(json.dumps({"templates": [{"name": name, "summary": summary} for name, summary in found.items()]}))
    else:
        terminal.table("TEMPLATES", ("name", "what it is"), [*found.items()])


@template.command()
@click.option("-n", "--name", required=True, help="Its name.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where; else here."
)
@as_json
def get(name: str, output: Path, as_json: bool) -> None:
    """Copy a template into a new folder of its name."""
    made = templates.get(name, output)
    if as_json:
        click.echo(json.dumps({"path": str(made)}))
    else:
        terminal.done(f"{made} is made: its README.md tells how to train it.")
