"""Feeds the cache and the queue: lists and watches each resource, with kopf around it. It reads no object by itself and decides nothing."""
