"""An App's triggers: their CronJobs and Jobs, and what became of each run."""
