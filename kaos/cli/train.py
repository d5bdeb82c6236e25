"""`kaos train`: the names of its commands and where they are."""

import click

from kaos.cli.group import LazyGroup

_COMMANDS = {
    "deploy": ("kaos.cli.deploy:deploy", "Submit source, data, hyperparams: train a model."),
    "list": ("kaos.cli.listing:list_runs", "What is being ingested, built and trained."),
    "info": ("kaos.cli.info:info", "A run's stages, its models and their metrics."),
    "logs": ("kaos.cli.logs:logs", "What a training printed."),
    "build-logs": ("kaos.cli.logs:build_logs", "What a build printed."),
    "kill": ("kaos.cli.kill:kill", "End a run."),
    "retry": ("kaos.cli.retry:retry", "Do again what failed of a run."),
    "provenance": ("kaos.cli.provenance:provenance", "What a model was made from."),
    "get": ("kaos.cli.get:get", "Download models, code and data."),
}


@click.group(cls=LazyGroup, places=_COMMANDS)
def train() -> None:
    """Source bundle + data bundle (+ hyperparams) = trained model."""
