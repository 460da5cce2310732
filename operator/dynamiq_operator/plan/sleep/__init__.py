"""Decides from one snapshot whether a serverless App sleeps, falls asleep or wakes. It keeps nothing in memory.

        every pod idle for long enough, nothing under way, the gate ready
 awake ─────────────▶ falling asleep: the gate's slice is beside the Service's own ─────────────▶ asleep: no pod, the gate answers
   ▲                        │ a call meanwhile                    in place for a while, idle still      │ a call, by the gate; a row, a change
   └── slice deleted ◀── waking: pods are ready, and the Service leads to them for a while ◀───────────┘ of what it is, no gate: by the operator

Callers reach the gate before the last pod ends, and a pod before the gate's slice is deleted: at every moment something answers. Pods
report how long they are idle, and slices show since when callers reach a pod or the gate. Unknown facts change nothing.
"""
