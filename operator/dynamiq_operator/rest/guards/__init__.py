"""Rules for deploys: rows that wait, approvals, rejected versions, suspension, and what would hold a deploy now."""
