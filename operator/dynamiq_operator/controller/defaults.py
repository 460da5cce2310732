"""Defaults of the operator's options. It imports nothing: the API and the gate parse options, too, and load no controller."""

RELIST_PERIOD = 600.0
"""Seconds between two lists of everything, which find what an interrupted watch missed."""
RECOVERS_WITHIN = 60.0
"""Seconds after which the process ends if the API server refuses its credentials, or answers all its watches but one."""
RECOVERS_LEAST = 10.0
"""The minimum of that setting: a watch may be silent for as long."""
TRIED_FOR = 300.0
"""Seconds after its arrival in the outbox for which a notification is tried."""
