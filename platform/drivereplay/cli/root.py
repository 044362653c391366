"""The application that verbs are added to, and the options that several have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivereplay._version import __version__

app = typer.Typer(
    name="drivereplay",
    help="How much replay, and of which other domains, keeps motion right while pictures get better?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
weights_app = typer.Typer(help="Optional metric weights.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

Experiment = Annotated[Path, typer.Argument(help="The experiment file (YAML).", show_default=False)]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: --set training.steps=50. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for machines.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it would cost; do nothing.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier run of the same experiment stopped.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Decode anew; the same as --set training.cache=false.")]
RunDirectory = Annotated[str, typer.Argument(help="A run's directory, <storage>/<name>; a path or a URI.")]
Address = Annotated[
    str | None, typer.Option(help="Address of the cluster's dashboard; default: RAY_API_SERVER_ADDRESS or RAY_ADDRESS.")
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"drivereplay {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
