"""The API server as every surface sees it: what is there, what an answer means, and the requests that all of them send."""
