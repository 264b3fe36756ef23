"""What an adjudication came to, for people."""

from __future__ import annotations

from annotation.adjudication.decide import CONFLICTS
from annotation.adjudication.run import Adjudication
from pinpoint_data.errors import one_line

_SHOWN = 10


def adjudication_text(found: Adjudication) -> str:
    """Counts, kinds of conflicts with their first questions, and what was left out."""
    counts = found.to_json()
    statuses = ", ".join(f"{count:,} {status}" for status, count in counts["statuses"].items())
    lines = [
        f"{counts['questions']:,} questions: {counts['by_vote']:,} decided by vote, {counts['by_people']:,} by people, "
        f"{len(found.conflicts):,} conflicts",
        f"{statuses or 'no verdicts'}; {counts['boxes']:,} boxes",
        f"policy: {one_line(counts['policy'])}",
    ]
    for code, count in counts["conflicts"].items():
        first = [ruling.question_id for ruling in found.conflicts if ruling.conflict == code][:_SHOWN]
        more = f" ... and {count - len(first):,} more (--json lists them)" if count > len(first) else ""
        lines.append(f"{count:,} {code} ({CONFLICTS[code]}): {one_line(', '.join(first))}{more}")
    if found.problems:
        lines.append(f"left out {len(found.problems):,}:")
        lines += [f"  {problem}" for problem in found.problems[:_SHOWN]]
        if len(found.problems) > _SHOWN:
            lines.append(f"  ... and {len(found.problems) - _SHOWN:,} more (--json lists them)")
    return "\n".join(lines)
