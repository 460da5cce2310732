"""The gate: a reverse proxy for sleeping Apps only. It wakes an App for the first caller, holds the call, and forwards it to the pod."""
