import { useState } from "preact/hooks";
import { toneOfPod } from "../../pure/rollout.ts";
import type { App, OneDeployment, Pod, PodEvent } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import type { Right } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { now, Time } from "../../ui/time.tsx";
import { Logs } from "./logs.tsx";

interface Props {
  app: App;
  row: OneDeployment;
  pod: Pod;
  /** To read its logs. */
  right?: Right;
  /** Whether it is open when it is seen first. */
  isOpen: boolean;
}

/** One pod: how it is, why, what the cluster tells of it, and what it logs. */
export function OnePod({ app, row, pod, right, isOpen }: Props) {
  const [open] = useState(isOpen);
  return (
    <details class="pod" open={open}>
      <summary>
        <PodState pod={pod} row={row} />
        <code class="break">{pod.name}</code>
        <span class="small muted facts-of-pod">
          {pod.is_serving && <span>serves</span>}
          <span>{plural(pod.restarts, "restart")}</span>
          {pod.node && <span>{pod.node}</span>}
          <Time at={pod.created_at} />
        </span>
      </summary>
      <div class="column">
        {pod.message && <p class="break">{pod.message}</p>}
        <Events events={pod.events} />
        <Logs app={app} row={row} pod={pod} right={right} />
      </div>
    </details>
  );
}

const SHAPES = { good: "check", busy: "ring", past: "circle", bad: "cross" } as const;

function PodState({ pod, row }: Pick<Props, "pod" | "row">) {
  const tone = toneOfPod(pod, row, now.value);
  return (
    <span class={`status ${tone}`}>
      <Icon shape={SHAPES[tone]} spins={tone === "busy"} />
      {pod.ready ? "Ready" : (pod.reason ?? pod.phase)}
    </span>
  );
}

function Events({ events }: { events: PodEvent[] }) {
  if (events.length === 0) return <p class="small muted">No Events: the cluster keeps them for an hour.</p>;
  return (
    <table class="events">
      <caption class="hidden-label">Events</caption>
      <tbody>
        {events.map((event) => (
          <tr key={`${event.reason} ${event.message}`} class={event.type === "Warning" ? "warning" : undefined}>
            <th scope="row">{event.reason}</th>
            <td class="break">
              {event.message}
              {event.count > 1 && <span class="muted"> ×{event.count}</span>}
            </td>
            <td class="small muted">{event.last_at && <Time at={event.last_at} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
