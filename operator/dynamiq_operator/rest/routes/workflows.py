"""Taken: helper "REST workflows" writes this module right now; nobody else should."""
