"""What every section of a study file shares."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Section", "remedy"]


def remedy(text: str) -> dict[str, Any]:
    """State what to do about a bad value; printed behind it."""
    return {"remedy": text}


class Section(BaseModel):
    """A table of a study: unknown keys are refused, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
