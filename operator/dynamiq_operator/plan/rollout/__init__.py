"""Whether a rollout goes on, is complete or has failed, and why it does not progress."""
