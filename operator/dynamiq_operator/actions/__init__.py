"""What is done to Apps and workflows: deploy, roll back, promote, release, create, change triggers. The one write path of every surface.

Each action is a `plan_…`, a value that says what would happen and can be shown, and a `perform_…`, which takes that value and writes it
as it stands. Surfaces translate into these and out of them, and write nothing by themselves. Every request goes out under the caller's
own name, through an `Api` that the surface brings. Everything here is synchronous.
"""
