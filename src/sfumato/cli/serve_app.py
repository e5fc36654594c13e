"""``sfumato serve`` and ``sfumato jobs``: their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Device, Json, Numbers, whole

jobs = typer.Typer(help="Look after the jobs of a running service.", rich_markup_mode=None)

Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="SFUMATO_URL", help="of the service")]
Token = Annotated[
    str | None, typer.Option("--token", metavar="TOKEN", envvar="SFUMATO_TOKEN", help="that must be shown")
]
Id = Annotated[str, typer.Argument(metavar="JOB", help="its id")]
HOME = "http://127.0.0.1:7860"


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen; others than loopback need a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, whole("--port", metavar="N", help="where to listen, 1 to 65535")] = 7860,
    open: Annotated[bool, typer.Option("--open", help="open the page in the browser")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", "--gallery", metavar="FOLDER", help="for queue and pictures; default ~/.local/share/sfumato"
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="SFUMATO_DATABASE", help="of a PostgreSQL; default SQLite in the folder"),
    ] = None,
    token: Token = None,
    idle: Annotated[str, typer.Option(metavar="TIME", help="without a job until models are dropped: 90s, 10m, 2h")] = (
        "10m"
    ),
    queue: Annotated[int, whole("--queue", metavar="N", help="how many jobs may wait, 1 to 10000")] = 32,
    retain: Annotated[
        str | None, typer.Option(metavar="TIME", help="after which pictures and jobs are erased: 12h, 30d; never")
    ] = None,
    models: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="of models beside SFUMATO_MODELS; may be repeated")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="by which it is called too; may be repeated")
    ] = None,
    device: Device = "auto",
    precision: Numbers = "auto",
) -> None:
    """Answer programs over HTTP: a durable queue, and the APIs of A1111, OpenAI and ComfyUI."""
    from sfumato.cli import service

    service.serve(
        service.Listening(host, port, data, token, idle, queue, retain, database, open),
        models=models or [],
        hosts=allow_host or [],
        device=device,
        precision=precision,
    )


@jobs.command("list")
def listed(
    limit: Annotated[int, whole("--limit", metavar="N", help="how many, the newest first")] = 20,
    url: Url = HOME,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    from sfumato.cli import service

    service.listed(url, token, limit=limit, as_json=as_json)


@jobs.command("show")
def shown(job: Id, url: Url = HOME, token: Token = None) -> None:
    """Print all about a job, as JSON."""
    from sfumato.cli import service

    service.act(url, token, job, "job")


@jobs.command("cancel")
def cancel(job: Id, url: Url = HOME, token: Token = None) -> None:
    """Cancel a job; what has ended stays as it is."""
    from sfumato.cli import service

    service.act(url, token, job, "cancel")


@jobs.command("retry")
def retry(job: Id, url: Url = HOME, token: Token = None) -> None:
    """Put a job that failed or was cancelled into the queue again."""
    from sfumato.cli import service

    service.act(url, token, job, "retry")
