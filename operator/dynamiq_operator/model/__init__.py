"""The resources as pydantic models, their names, and the rules by which the operator completes a row.

It imports no kopf, HTTP library, asyncio, os, time or random: all inputs are arguments.
"""
