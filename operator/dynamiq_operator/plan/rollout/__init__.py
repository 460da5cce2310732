"""Evaluates a rollout: it continues, is complete or has failed, and with which cause."""
