"""Taken: helper "REST triggers" writes this module right now; nobody else should."""
