"""What people do to an App: deploy, roll back, promote, release. Each has a preview, and each surface calls these and nothing of its own.

Every request goes out under the caller's own name, through an `Api` that the surface brings. Nothing here waits on an event loop.
"""
