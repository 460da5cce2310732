"""Plans an App's triggers: their CronJobs and Jobs, and the outcome of each run."""
