"""Guards of deploys: waiting rows, approvals, rejected versions, suspension, and what would block a deploy now."""
