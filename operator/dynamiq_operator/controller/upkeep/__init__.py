"""Keeps what belongs to no single reconcile: lost claims, digests at the gate, orphaned Approvals, the record of settings, our policies."""
