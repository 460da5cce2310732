"""The API server: requests and their errors, the cache that watches fill, the queue, the lease, and carrying out a plan."""
