"""The management API: what clients of the public product call, over the same actions and views."""
