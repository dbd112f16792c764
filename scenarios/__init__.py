"""The nouns: what is studied and what flows from a plan to a verdict.

``Scenario → Plan → Realizations → Snapshots → Verdicts → Report``; each is frozen, and
each arrow is one verb. Nothing here knows an optimizer, a simulator or a wire.
"""
