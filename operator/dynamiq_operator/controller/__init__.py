"""The operator's process: kopf watches, each event puts an App on the queue, workers make and carry out its plan."""
