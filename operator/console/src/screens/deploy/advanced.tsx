import { useEffect, useRef } from "preact/hooks";
import {
  AMOUNTS,
  type AmountField,
  type Config,
  type ConfigFields,
  type DeploymentType,
  filled,
  NUMBERS,
  type NumberField,
  prefilled,
} from "../../pure/config.ts";
import { TextField } from "../../ui/text-field.tsx";
import { Switch } from "./fields.tsx";

interface Props {
  edits: Partial<ConfigFields>;
  /** What is live; undefined for what is not there yet. */
  live?: Config;
  wrong: Record<string, string>;
  onChange: (edits: Partial<ConfigFields>) => void;
}

const SERVERLESS = "Serverless";
const SERVER = "Server-based";

/** How the App is run: its type, its replicas, and the compute of each pod. Prefilled; what is left as it is keeps what is live. */
export function AdvancedConfiguration({ edits, live, wrong, onChange }: Props) {
  const form = filled(edits, live);
  const hasWrong = Object.keys(wrong).some((path) => path.startsWith("deployment_config"));
  const element = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (hasWrong && element.current) element.current.open = true;
  }, [hasWrong]);
  return (
    <details class="advanced" ref={element}>
      <summary>Advanced configuration</summary>
      <div class="inside">
        {live && <TypeChoice value={form.type} onChange={(type) => onChange({ ...edits, type })} />}
        {wrong.deployment_config && <p class="wrong small">{wrong.deployment_config}</p>}
        {form.type === "server_based" ? (
          <Numbers
            legend="Replica Autoscaling"
            fields={{ min: "Min replicas", max: "Max replicas", cpu: "Target CPU" }}
            {...{ edits, live, wrong, onChange }}
          />
        ) : (
          <Numbers
            legend="Sleep and replicas"
            fields={{ idle: "Idle seconds", most: "Max replicas", hold: "Hold seconds" }}
            hints={{
              idle: "How long without a call until it sleeps",
              hold: "How long a call waits for it to wake",
            }}
            {...{ edits, live, wrong, onChange }}
          />
        )}
        <ComputeFields {...{ edits, live, wrong, onChange }} />
      </div>
    </details>
  );
}

export function TypeChoice({ value, onChange }: { value: DeploymentType; onChange: (type: DeploymentType) => void }) {
  return (
    <div class="field">
      <Switch
        label="Type"
        choices={[SERVERLESS, SERVER]}
        value={value === "serverless" ? SERVERLESS : SERVER}
        onChange={(chosen) => onChange(chosen === SERVERLESS ? "serverless" : "server_based")}
      />
      <span class="hint">
        {value === "serverless" ? "Asleep while nobody calls, woken by the next call" : "Always running"}
      </span>
    </div>
  );
}

interface NumbersProps extends Props {
  legend: string;
  fields: Partial<Record<NumberField, string>>;
  hints?: Partial<Record<NumberField, string>>;
}

function Numbers({ legend, fields, hints, edits, live, wrong, onChange }: NumbersProps) {
  const form = filled(edits, live);
  const before = prefilled(form.type, live);
  return (
    <fieldset class="group">
      <legend>{legend}</legend>
      <div class="three">
        {(Object.entries(fields) as [NumberField, string][]).map(([name, label]) => (
          <TextField
            key={name}
            label={label}
            inputMode="numeric"
            unit={name === "cpu" ? "%" : undefined}
            value={form[name]}
            placeholder={before[name]}
            hint={hints?.[name]}
            wrong={wrong[NUMBERS[name].path]}
            onChange={(value) => onChange({ ...edits, [name]: value })}
          />
        ))}
      </div>
    </fieldset>
  );
}

const COMPUTE: [AmountField, string][] = [
  ["requestsCpu", "CPU request"],
  ["requestsMemory", "Memory request"],
  ["limitsCpu", "CPU limit"],
  ["limitsMemory", "Memory limit"],
];

function ComputeFields({ edits, live, wrong, onChange }: Props) {
  const form = filled(edits, live);
  const before = prefilled(form.type, live);
  return (
    <fieldset class="group">
      <legend>Resources of each pod</legend>
      <div class="two">
        {COMPUTE.map(([name, label]) => (
          <TextField
            key={name}
            label={label}
            value={form[name]}
            placeholder={before[name] || (name.startsWith("requests") ? "the runtime's" : "none")}
            wrong={wrong[AMOUNTS[name].path]}
            onChange={(value) => onChange({ ...edits, [name]: value })}
          />
        ))}
      </div>
      <p class="hint small muted">Such as 100m CPU and 256Mi memory. Empty fields stay as they are live.</p>
    </fieldset>
  );
}
