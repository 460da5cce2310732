"""The web console: its pages from memory, the calls that sign in and out, and signing in with OIDC."""
