"""Which workloads an App is to have, and at which of them its callers end up."""
