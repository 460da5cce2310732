import { useId } from "preact/hooks";
import { inWords, nextRun } from "../../pure/cron.ts";
import { Field } from "../../ui/field.tsx";
import { Segments } from "../../ui/segments.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { now, Time } from "../../ui/time.tsx";
import type { Filled } from "./filled.ts";

export interface PartProps {
  filled: Filled;
  wrong: Record<string, string>;
  onChange: (part: Partial<Filled>) => void;
}

const USUAL: [says: string, schedule: string][] = [
  ["Every hour", "0 * * * *"],
  ["Every day", "0 9 * * *"],
  ["Working days", "0 9 * * 1-5"],
  ["Every Monday", "0 9 * * 1"],
  ["1st of the month", "0 9 1 * *"],
];
const SCHEDULED = "On a schedule";
const ONCE = "Once";
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** When it runs: on a schedule, or once. */
export function TimeFields({ filled, wrong, onChange }: PartProps) {
  return (
    <>
      <Segments
        label="When"
        choices={[SCHEDULED, ONCE]}
        value={filled.isOnce ? ONCE : SCHEDULED}
        onChange={(chosen) => onChange({ isOnce: chosen === ONCE })}
      />
      {filled.isOnce ? (
        <TextField
          type="datetime-local"
          label="Run at"
          hint={`In your time zone, ${HERE}`}
          value={filled.runAt}
          required
          wrong={wrong.run_at ?? wrong.config}
          onChange={(runAt) => onChange({ runAt })}
        />
      ) : (
        <ScheduleFields filled={filled} wrong={wrong} onChange={onChange} />
      )}
    </>
  );
}

function ScheduleFields({ filled, wrong, onChange }: PartProps) {
  const zones = useId();
  return (
    <>
      <div class="column near">
        <Field
          label="Schedule"
          hint="Five fields: minute, hour, day of month, month, day of week (0 is Sunday)"
          wrong={wrong.schedule ?? wrong.config}
        >
          {(attributes) => (
            <input
              {...attributes}
              class="input mono"
              autocomplete="off"
              spellcheck={false}
              required
              maxLength={128}
              value={filled.schedule}
              onInput={(event) => onChange({ schedule: event.currentTarget.value })}
            />
          )}
        </Field>
        <div class="buttons">
          {USUAL.map(([says, schedule]) => (
            <button key={says} type="button" class="button plain tiny" onClick={() => onChange({ schedule })}>
              {says}
            </button>
          ))}
        </div>
        <Said schedule={filled.schedule} zone={filled.timezone} />
      </div>
      <div class="pair">
        <Field label="Time zone" hint="An IANA name, such as Europe/Berlin" wrong={wrong.timezone}>
          {(attributes) => (
            <>
              <input
                {...attributes}
                class="input"
                list={zones}
                autocomplete="off"
                spellcheck={false}
                required
                maxLength={64}
                value={filled.timezone}
                onInput={(event) => onChange({ timezone: event.currentTarget.value.trim() })}
              />
              <datalist id={zones}>
                {["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
                  <option key={zone} value={zone} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        <TextField
          type="datetime-local"
          label="Expires"
          hint={`In your time zone, ${HERE}. Empty: never`}
          value={filled.expiresAt}
          wrong={wrong.expires_at}
          onChange={(expiresAt) => onChange({ expiresAt })}
        />
      </div>
    </>
  );
}

/** The schedule in words, and when it is due next: both follow what is typed. */
function Said({ schedule, zone }: { schedule: string; zone: string }) {
  const words = inWords(schedule);
  const due = nextRun(schedule, zone, now.value);
  return (
    <p class="small" role="status">
      {words ? <strong>{words}</strong> : <span class="muted">This is not a schedule yet.</span>}
      {words &&
        (due ? (
          <>
            {" "}
            · next <Time at={new Date(due).toISOString()} isPlanned />
          </>
        ) : (
          <span class="muted"> · no future time in this zone</span>
        ))}
    </p>
  );
}
