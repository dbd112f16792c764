"""What is proven, refuted and undecided, as a table."""

from __future__ import annotations

from gridproof.federation.records.certificate_report import CertificateReport, Claim, KindClaim
from gridproof.federation.tables.table import Table, Tone, number, text
from gridproof.federation.wording import place_words

__all__ = ["certificate_table", "missing_lines"]

_TONES = {Claim.PROVEN: Tone.GOOD, Claim.REFUTED: Tone.BAD, Claim.UNDECIDED: None}


def certificate_table(report: CertificateReport) -> Table:
    """Say of every island and kind of limit what is known, and how near the worst load comes."""
    steps = len({island.step for island in report.islands}) > 1
    claims = [
        (island, kind, claim) for island in report.islands for kind, claim in island.kinds.items()
    ]
    return Table(
        name="certificates",
        title="Every load of the set",
        columns=(
            *([text("step")] if steps else []),
            text("formed by"),
            text("limit"),
            text("verdict"),
            number("worst margin", 6, nothing="none"),
            text("remainder"),
            text("where"),
        ),
        rows=tuple(
            (
                *([str(island.step)] if steps else []),
                ", ".join(island.formers),
                f"{kind}, {claim.unit}",
                claim.verdict.value,
                _shown(claim),
                "none" if claim.remainder is None else f"{claim.remainder:.1e}",
                place_words(claim.element, claim.phase),
            )
            for island, kind, claim in claims
        ),
        tones=tuple(_TONES[claim.verdict] for *_, claim in claims),
    )


def _shown(claim: KindClaim) -> float | None:
    return claim.attained if claim.verdict is Claim.REFUTED else claim.worst


def missing_lines(report: CertificateReport) -> tuple[str, ...]:
    """Say of each undecided limit what is missing, islands with the same words together."""
    found: dict[str, list[str]] = {}
    for island in report.islands:
        for kind, claim in island.kinds.items():
            if claim.missing:
                found.setdefault(claim.missing, []).append(f"{', '.join(island.formers)} {kind}")
    return tuple(f"{'; '.join(places)}: {why}" for why, places in found.items())
