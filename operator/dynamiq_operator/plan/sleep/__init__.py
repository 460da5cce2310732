"""Decides from one snapshot whether a serverless App sleeps, falls asleep or wakes. It keeps nothing in memory.

- From awake to falling asleep: every pod has been idle for long enough, nothing is under way, and the gate is ready. The gate's slice is
  created.
- From falling asleep to asleep: the slice has been in place for a while, and the pods are still idle. The workload is scaled to 0. A call
  before that keeps the App awake.
- From asleep to waking: the gate scales the workload up for a call. The operator does it for a row, a changed App, or a missing gate.
- From waking to awake: pods are ready, and the Service has led to them for a while. The gate's slice is deleted.

Callers reach the gate before the last pod ends, and a pod before the gate's slice is deleted: at every moment something answers. Pods
report how long they are idle, and slices show since when callers reach a pod or the gate. Unknown facts change nothing.
"""
