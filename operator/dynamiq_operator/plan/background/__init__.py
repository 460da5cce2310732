"""Decisions for the background tasks of the controller: which pods to read, and which notifications to send. They plan nothing."""
