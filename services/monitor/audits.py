"""An audit window with differences, as a finding: served features are not what raw events give."""

from services.monitor.episodes import Found
from shared.messages.types import Audit, AuditedFeature, RankedFeature


def skewed(audit: Audit) -> Found | None:
    """What is wrong with the window; None: nothing. A feature's evidence is the rate of differences."""
    if not (audit.features or audit.unmatched or audit.foreign):
        return None
    ranked = [_ranked(row, audit.compared) for row in audit.features]
    ranked.sort(key=lambda f: (-f.evidence, f.feature))
    evidence = {
        "compared": audit.compared, "differing_features": len(ranked),
        "unmatched_predictions": audit.unmatched, "another_definition": audit.foreign,
        "window_end": audit.end.isoformat(), "partition": audit.partition,
    }  # fmt: skip
    return Found(
        "audit", "feature_skew", "data_quality", "page" if ranked else "warn", audit.start,
        tuple(ranked), evidence, _text(audit),
    )  # fmt: skip


def _ranked(row: AuditedFeature, compared: int) -> RankedFeature:
    rate = (row.mismatch + row.missing + row.extra) / max(1, compared)
    detail = f"{row.mismatch} mismatched, {row.missing} missing, {row.extra} extra of {compared}"
    example = f"{row.id}: served {_shown(row.served)}, raw events give {_shown(row.expected)}"
    return RankedFeature(row.feature, rate, f"{detail}; {example}")


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def _text(audit: Audit) -> str:
    if audit.features:
        return "served values differ from what raw events give"
    if audit.foreign:
        return f"{audit.foreign} predictions were made with another definition of the features"
    return f"{audit.unmatched} predictions have no raw event that could be audited"
