"""Taking a bad version back: the row that went live is watched for a while, and where too many of its runs fail, what ran before is restored."""
