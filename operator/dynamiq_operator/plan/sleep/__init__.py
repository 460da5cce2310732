"""Whether a serverless App sleeps, is to fall asleep or to wake, all from one snapshot.

        every pod idle for long enough, nothing under way, the gate ready
 awake ─────────────▶ falling asleep: the gate's slice is beside the Service's own ─────────────▶ asleep: no pod, the gate answers
   ▲                        │ a call meanwhile                    in place for a while, idle still      │ a call, by the gate; a row, a change
   └── slice deleted ◀── waking: pods are ready, and the Service leads to them for a while ◀───────────┘ of what it is, no gate: by the operator

Callers are led to the gate before the last pod goes, and to a pod before the gate's slice does: at no moment to nobody. Nothing of it is
kept in memory: idle is what pods report, and since when callers are led somewhere is what the slices say. What cannot be read changes
nothing.
"""
