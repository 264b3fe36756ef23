"""From proposed boxes to defended evidence: proposals, Label Studio, agreement, adjudication, the campaign's report."""
