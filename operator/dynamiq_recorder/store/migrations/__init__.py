"""Holds numbered SQL files, each of which migrates a database from one version of its tables to the next."""
