/** A deployment config in words, the same as kubectl dynamiq's. Pure. */

import { type Amounts, type Config, NUMBERS, type Resources } from "./config.ts";
import { plural } from "./texts.ts";

/** `1 to 2 pods at 80 % CPU`; `0 to 10 pods, asleep after 300 s, a call waits 120 s`. */
export function scalingInWords({ deployment_type: type, config }: Config): string {
  if (type === "serverless") {
    const most = config?.max_replicas ?? NUMBERS.most.first;
    const idle = config?.idle_seconds ?? NUMBERS.idle.first;
    const hold = config?.hold_seconds ?? NUMBERS.hold.first;
    return `0 to ${most} pods, asleep after ${idle} s, a call waits ${hold} s`;
  }
  const scaling = config?.autoscaling;
  const min = scaling?.min_replicas ?? NUMBERS.min.first;
  const max = scaling?.max_replicas ?? NUMBERS.max.first;
  const pods = min === max ? plural(min, "pod") : `${min} to ${max} pods`;
  return `${pods} at ${scaling?.target_cpu_utilization_percentage ?? NUMBERS.cpu.first} % CPU`;
}

export function typeInWords(type: string): string {
  return type === "serverless" ? "serverless" : "server-based";
}

/** Type, pods and compute. */
export function configInWords(config: Config): string {
  const compute = computeInWords(config.config?.resources);
  return [typeInWords(config.deployment_type), scalingInWords(config), compute].filter(Boolean).join(", ");
}

/** `100m CPU and 256Mi memory, at most 1Gi memory`; empty where nothing is said. */
export function computeInWords(resources: Resources | null | undefined): string {
  const asked = amounts(resources?.requests);
  const most = amounts(resources?.limits);
  return [asked, most && `at most ${most}`].filter(Boolean).join(", ");
}

function amounts(of: Amounts | null | undefined): string {
  return [of?.cpu && `${of.cpu} CPU`, of?.memory && `${of.memory} memory`].filter(Boolean).join(" and ");
}
