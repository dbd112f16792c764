"""What every section of a study file shares."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

__all__ = ["Id", "Ids", "Money", "Section", "Share", "remedy"]


def remedy(text: str) -> dict[str, Any]:
    """State what to do about a bad value; printed behind it."""
    return {"remedy": text}


class Section(BaseModel):
    """A table of a study: unknown keys are refused, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _as_id(value: object) -> object:
    """Bus 701 may be written without quotes; ids are lower case as OpenDSS has them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.lower() if isinstance(value, str) else value


Id = Annotated[
    str,
    BeforeValidator(_as_id),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "integer"], "minLength": 1}),
]
Ids = Annotated[tuple[Id, ...], Field(strict=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Money = Annotated[float, Field(ge=0.0)]
