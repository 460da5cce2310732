"""How a rollout stands, and why it does not progress."""
