"""The Dynamiq operator: every deploy of an App is a permanent row of its history."""
