"""The operator's process: informers fill a cache, a deduplicating workqueue, leader election, and reconciling: observe, plan, execute."""
