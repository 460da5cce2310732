"""Identifies senders and readers by their tokens, pods and Apps, and checks their rights. The API server decides everything."""
