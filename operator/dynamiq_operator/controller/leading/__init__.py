"""Elects the leader by a Lease, and stops the writes of a replica that no longer leads."""
