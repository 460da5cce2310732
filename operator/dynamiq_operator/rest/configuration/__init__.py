"""The configuration of an App, which people edit and which outlives its deployments."""
