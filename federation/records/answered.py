"""Who answered a campaign, by the planner's own word on the wire, kept beside its parts."""

from __future__ import annotations

import hashlib

from gridproof.federation.config.foreign import own_word
from gridproof.federation.files import json_text
from gridproof.federation.records.store import ANSWERED, CampaignStore
from gridproof.scenarios.errors import StoreError

__all__ = ["keep_word", "refuse_our_word"]

_SHOWN = 120


def keep_word(store: CampaignStore, word: str) -> None:
    """Keep what the planner says of itself, or hold it against what the first one said.

    Parameters
    ----------
    store
        The campaign that is answered from now on.
    word
        The message of the planner's status when it has planned; empty if it says nothing.

    Raises
    ------
    StoreError
        If another planner answered what is there, or nobody knows who did and it is not ours.
    """
    kept = store.answered_word
    if kept is None:
        if word != own_word(store.study) and "answers" not in store.study and store.finished():
            raise StoreError(
                f"{store.root} does not say who answered its finished parts, and a foreign planner "
                f"({_named(word)}) would go on with them; give another --out"
            )
        digest = hashlib.sha256(word.encode("utf-8", errors="replace")).hexdigest()
        store.write(ANSWERED, json_text({"word": word, "digest": digest}))
    elif kept != word:
        raise StoreError(
            f"{store.root} was answered by {_named(kept)}, and now {_named(word)} answers; two "
            "planners are never mixed in one campaign: go on with the first, or give another --out"
        )


def refuse_our_word(store: CampaignStore) -> None:
    """Refuse to let our planner answer what another began; `StoreError`, by name."""
    kept = store.answered_word
    if kept is not None and kept != own_word(store.study):
        keep_word(store, own_word(store.study))


def _named(word: str) -> str:
    return repr(word[:_SHOWN]) if word else "a planner that does not say who it is"
