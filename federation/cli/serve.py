"""``gridproof serve``: reports of running and finished campaigns in a browser of this machine."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.cli.options import note

__all__ = ["serve"]

_PORT = 8765


def serve(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A campaign directory, or a directory of campaigns."),
    ],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of 127.0.0.1; 0 for any free one.")
    ] = _PORT,
    every_s: Annotated[
        float,
        typer.Option("--every", metavar="S", min=1.0, help="Seconds until a page is asked anew."),
    ] = 5.0,
) -> None:
    """Show the reports of campaigns in a browser, anew as parts arrive; Ctrl-C ends it."""
    # matplotlib is slow to import
    from gridproof.federation.reports.live import Campaigns  # noqa: PLC0415
    from gridproof.federation.reports.live_server import PageServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gridproof-pages-") as pages:
        campaigns = Campaigns(directory, Path(pages), every_s=every_s)
        with PageServer(campaigns, port) as server:
            note(f"{server.address} has the campaigns in {directory}; Ctrl-C ends it")
            with suppress(KeyboardInterrupt):
                server.serve_forever()
    note("ended")
