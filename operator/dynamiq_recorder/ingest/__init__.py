"""Turns requests of senders into runs, and queues these for the store. It identifies no sender."""
