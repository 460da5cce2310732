"""Deployments of an App: its history, deploy, rollback, promote, and their previews."""
