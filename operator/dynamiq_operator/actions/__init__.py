"""Plans and performs the actions on Apps and workflows: deploy, roll back, promote, release, create, change triggers.

Each `plan_…` returns a value that shows what would happen. Each `perform_…` takes that value and writes it unchanged.
Surfaces translate requests and answers; they write nothing themselves. All functions are synchronous.
Each request is sent under the caller's own name, through an `Api` that the surface passes.
"""
