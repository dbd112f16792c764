"""Running a federate's body so that nothing it does goes unsaid."""

from __future__ import annotations

from collections.abc import Callable

from gridproof.federation.wire.link import Link
from gridproof.scenarios.errors import DeadlinePassed, FederateLost
from gridproof.scenarios.plan import Plan

__all__ = ["attend"]


def attend(link: Link, body: Callable[[], Plan], note: Callable[[BaseException], None]) -> Plan:
    """Run a federate's body so that its failure is told to the others, in every case.

    HELICS takes an uncaught exception for a clean leave, after which the others would go on
    with the last values they saw.

    Parameters
    ----------
    link
        The federate's own; closed at the end.
    body
        What it does.
    note
        Receives the exception before anyone else can hear of it.
    """
    try:
        return body()
    except BaseException as error:
        note(error)
        if not isinstance(error, (FederateLost, DeadlinePassed)):
            link.fail(f"{link.name} failed: {type(error).__name__}: {error}")
        else:
            link.fail(str(error))
        raise
    finally:
        link.close()
