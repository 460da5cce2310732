"""Serves the management API: the calls of the public product, over the same actions and views as the other surfaces."""
