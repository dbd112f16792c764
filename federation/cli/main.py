"""The command line: what a person types, and what they read when it went wrong.

Results go to stdout, everything else to stderr; with ``--json`` stdout is exactly one JSON
object. Exit codes: 0 done (a verdict is a result, good or bad), 1 a plan failed its audit or
the program itself failed, 2 bad input, 3 no plan, 4 a lost federation, 5
realizations erred (model or input at fault, no verdict), 130 interrupted, 141 nobody reads what is
printed (``gridproof … | head``).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Annotated, Any

import typer
from gridproof.federation.cli.commands import LazyGroup
from gridproof.federation.plain_text import shown
from gridproof.scenarios.errors import ConfigError, GridproofError, PlanError
from gridproof.simulator.opendss.guard import TRUSTED

__all__ = ["app", "main"]

INTERRUPTED = 130
UNREAD = 141
"""Whoever read what is printed has gone, as ``head`` does: no fault of anybody."""
_THREADS = ("federate-", "highs-busy", "helics-")  # they may be inside a call that nothing ends


class _Program(LazyGroup):
    """Turns exceptions into one message and an exit code, for every command alike."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if _is_usage(error):
                raise
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                raise typer.Exit(UNREAD) from error
            if ctx.params.get("debug"):
                typer.echo("".join(traceback.format_exception(error)), err=True)
            typer.echo(shown(_message(error)), err=True)
            raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, GridproofError) else 1


def _nobody_reads() -> bool:
    """Whether stdout's reader has gone; what is left to print then goes nowhere."""
    try:
        sys.stdout.flush()
        gone = _has_no_reader(sys.stdout.fileno())  # what is not buffered is gone already
    except BrokenPipeError:
        gone = True
    if gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else Python complains as it ends
        os.close(nowhere)
    return gone


def _has_no_reader(pipe: int) -> bool:
    """Ask the system; Windows has no such question."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(pipe, 0)
    return any(event & select.POLLERR for _, event in asked.poll(0))


def _is_usage(error: BaseException) -> bool:
    """Whether the command line parser itself prints this one (and exits 2)."""
    return hasattr(error, "exit_code") and hasattr(error, "show")


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; give the same command again"
    if isinstance(error, ConfigError) and len(error.faults) > 1:
        listed = "\n".join(f"  {fault}" for fault in error.faults)
        return f"error: {len(error.faults)} faults\n{listed}"
    if isinstance(error, PlanError):
        return f"error: {error}\n{_shown_until_then(error)}"
    if isinstance(error, GridproofError):
        return f"error: {error}"
    return (
        f"error: the program failed: {type(error).__name__}: {error}\n"
        "This is a defect, not your input; --debug shows where."
    )


def _shown_until_then(error: PlanError) -> str:
    """Say what a search that ended without a plan had proven."""
    from gridproof.federation.wording import decimals  # noqa: PLC0415  (numpy: a fifth of a second)

    proof = error.proof
    bound = (
        f"no plan costs less than {decimals(proof.bound, 2)} USD"
        if abs(proof.bound) < float("inf")
        else "no bound on the cost"
    )
    return (
        f"  shown: search ended {proof.termination.value}; {bound}; "
        f"{proof.iterations} iterations, {decimals(proof.seconds.get('total', 0.0), 2)} s"
    )


app = typer.Typer(
    name="gridproof",
    cls=_Program,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # for all commands below, too
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Plan a distribution grid's resilience and try the plan against AC physics.",
)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            typer.echo(f"gridproof {version('gridproof')}")
        except PackageNotFoundError:
            typer.echo("gridproof (a checkout that is not installed)")
        raise typer.Exit


def _trust_feeders(asked: bool) -> None:
    if asked:
        os.environ[TRUSTED] = "1"  # for the processes that are started, too


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    trust_feeder: Annotated[
        bool,
        typer.Option(
            "--trust-feeder",
            callback=_trust_feeders,
            help="Let feeder files load native libraries and write files, as OpenDSS does.",
        ),
    ] = False,
) -> None:
    """Plan a distribution grid's resilience and try the plan against AC physics."""


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """Leave by the same path as Ctrl-C, so that no child process stays behind."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the ``gridproof`` command."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _terminated)
    try:
        app()
    except SystemExit as leaving:
        _leave_at_once(leaving.code)
        raise


def _leave_at_once(code: object) -> None:
    """End here where a thread of ours is still inside a library's call.

    Python would take such a thread down while the library's own frames stand on it, and C++
    ends the process for that by SIGABRT; or its exit handlers would wait for the call.
    """
    ours = [t for t in threading.enumerate() if t.is_alive() and t.name.startswith(_THREADS)]
    if ours:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
