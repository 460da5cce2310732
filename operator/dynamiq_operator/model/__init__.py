"""The resources as pydantic models, their names, and the rules by which the operator completes a record.

It imports no kopf, HTTP library, asyncio, os, time or random: what it knows comes in as arguments.
"""
