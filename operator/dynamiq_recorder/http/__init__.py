"""Serves the recorder over HTTP: it receives runs, and answers reads of them."""
