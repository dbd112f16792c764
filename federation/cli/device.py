"""Commands about devices: ``device emulate`` and ``device probe``."""

from __future__ import annotations

import threading
from typing import Annotated

import typer
from gridproof.federation.cli.options import AsJson, note, print_json

__all__ = ["device"]

device = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="DERs as devices of their own: an emulator, and a look at one.",
)


@device.command()
def emulate(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    port: Annotated[int, typer.Option("--port", help="TCP port; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    p_kw: Annotated[float, typer.Option("--p-kw", help="Rating, kW of all phases.")] = 300.0,
    q_kvar: Annotated[
        float | None, typer.Option("--q-kvar", help="Rating, kvar; 0.75 of kW if left out.")
    ] = None,
    phases: Annotated[str, typer.Option("--phases", help="Phases it feeds.")] = "abc",
    ramp_kw_per_s: Annotated[
        float | None, typer.Option("--ramp-kw-per-s", help="Fastest change; at once if left out.")
    ] = None,
    unit: Annotated[int, typer.Option("--unit", help="Modbus unit identifier.")] = 1,
) -> None:
    """Serve an emulated DER over Modbus/TCP with SunSpec models until interrupted."""
    from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating  # noqa: PLC0415

    rating = Rating(
        p_kw=p_kw,
        q_kvar=0.75 * p_kw if q_kvar is None else q_kvar,
        phases=phases,
        ramp_kw_per_s=ramp_kw_per_s,
    )
    emulator = Emulator(EmulatedDer(rating), host=host, port=port, unit=unit)
    note(f"an emulated DER of {p_kw:g} kW listens at {host}:{emulator.port}; Ctrl-C ends it")
    try:
        threading.Event().wait()
    finally:
        emulator.close()


@device.command()
def probe(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The device.")],
    unit: Annotated[int, typer.Option("--unit", help="Modbus unit identifier.")] = 1,
    deadline_s: Annotated[float, typer.Option("--deadline-s", help="Longest wait, s.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Find a device's SunSpec models and read its output; nothing is written."""
    from gridproof.federation.field.modbus_client import probe_device  # noqa: PLC0415

    found = probe_device(address, unit=unit, deadline_s=deadline_s)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{address}: SunSpec models {', '.join(str(model) for model in found['models'])}")
    for name in ("p_kw", "q_kvar"):
        typer.echo(f"  {name}: {', '.join(f'{value:g}' for value in found[name])} (a, b, c)")
