import { inWords, nextRun } from "../../pure/cron.ts";
import type { Trigger } from "../../pure/shapes.ts";
import { Status } from "../../ui/status.tsx";
import { now, Time } from "../../ui/time.tsx";

const WORDS = { draft: "Draft", active: "Active", inactive: "Inactive", expired: "Expired" } as const;

export function TriggerStatus({ trigger }: { trigger: Trigger }) {
  return <Status word={WORDS[trigger.status]} />;
}

/** When it runs: in words, and as it is written. */
export function Schedule({ config }: { config: Trigger["config"] }) {
  if (config.run_at) {
    return (
      <div class="two">
        <span>Once</span>
        <span class="small muted">
          <Time at={config.run_at} isPlanned />
        </span>
      </div>
    );
  }
  return (
    <div class="two">
      <span>{inWords(config.schedule ?? "") ?? "A schedule that this page cannot read"}</span>
      <span class="small muted">
        <code>{config.schedule}</code> {config.timezone}
        {config.expires_at && (
          <>
            {Date.parse(config.expires_at) > now.value ? " · expires " : " · expired "}
            <Time at={config.expires_at} isPlanned />
          </>
        )}
      </span>
    </div>
  );
}

/** When an active trigger is due next, as its schedule says. */
export function NextRun({ trigger: { status, config } }: { trigger: Trigger }) {
  if (status !== "active") return <span class="muted">{status === "expired" ? "never again" : "not active"}</span>;
  const due = config.run_at ? Date.parse(config.run_at) : nextRun(config.schedule ?? "", config.timezone, now.value);
  if (due === undefined || (config.expires_at && due > Date.parse(config.expires_at))) {
    return <span class="muted">none to come</span>;
  }
  return <Time at={new Date(due).toISOString()} isPlanned />;
}
