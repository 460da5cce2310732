"""The configuration of an App: what outlives its deployments and people edit."""
