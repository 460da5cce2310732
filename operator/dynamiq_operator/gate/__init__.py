"""The gate: a reverse proxy that only sleeping Apps go through. It wakes an App for the first caller, holds the call, and hands it to the pod."""
