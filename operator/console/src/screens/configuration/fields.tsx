import type { Exposure, Settings } from "../../pure/settings.ts";
import { Field } from "../../ui/field.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { ACCESS } from "./facts.tsx";
import type { Wrong } from "./wrong.ts";

export interface FieldsProps {
  settings: Settings;
  wrong: Wrong;
  onChange: (settings: Settings) => void;
}

export function DescriptionField({ settings, wrong, onChange }: FieldsProps) {
  return (
    <Field label="Description" wrong={wrong.description}>
      {(attributes) => (
        <textarea
          {...attributes}
          class="input"
          rows={2}
          maxLength={512}
          value={settings.description}
          onInput={(event) => onChange({ ...settings, description: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

const TYPES: [value: string, says: string][] = [
  ["", "The operator's default"],
  ["Ingress", "Ingress"],
  ["Gateway", "Gateway"],
  ["ClusterIP", "ClusterIP: inside the cluster only"],
];

/** How callers reach the App: its hostname, and what serves it. */
export function ExposureFields({ settings, wrong, onChange }: FieldsProps) {
  const { exposure } = settings;
  const change = (part: Partial<Exposure>) => onChange({ ...settings, exposure: { ...exposure, ...part } });
  const text = (field: "class" | "tls_secret" | "gateway" | "gateway_section", label: string, hint: string) => (
    <TextField
      label={label}
      hint={hint}
      wrong={wrong[`exposure.${field}`]}
      value={exposure[field] ?? ""}
      onChange={(value) => change({ [field]: value.trim() || null })}
    />
  );
  return (
    <fieldset class="column">
      <legend class="hidden-label">How callers reach it</legend>
      <div class="pair">
        <Field label="Exposure" wrong={wrong.exposure ?? wrong["exposure.type"]}>
          {(attributes) => (
            <select
              {...attributes}
              class="input"
              value={exposure.type ?? ""}
              onChange={(event) => change(ofType(event.currentTarget.value as Exposure["type"] | ""))}
            >
              {TYPES.map(([value, says]) => (
                <option key={value} value={value}>
                  {says}
                </option>
              ))}
            </select>
          )}
        </Field>
        <TextField
          label="Hostname"
          hint={
            exposure.type === "ClusterIP"
              ? "Of type ClusterIP it is called by its Service's name: leave this empty"
              : "A DNS name, such as chat.example.com. Empty: made of the App's name, where the operator has a domain"
          }
          wrong={wrong.hostname}
          value={settings.hostname}
          onChange={(hostname) => onChange({ ...settings, hostname: hostname.trim() })}
        />
      </div>
      {exposure.type === "Ingress" && (
        <div class="pair">
          {text("class", "Class", "An IngressClass. Empty: the operator's, or the cluster's default")}
          {text("tls_secret", "TLS Secret", "With tls.crt and tls.key, in the App's namespace. Empty: plain HTTP")}
        </div>
      )}
      {exposure.type === "Gateway" && (
        <div class="pair">
          {text("gateway", "Gateway", "Its name, or namespace/name. Empty: the operator's")}
          {text("gateway_section", "Listener", "One of the Gateway's. Empty: all that take the route")}
        </div>
      )}
    </fieldset>
  );
}

/** An exposure without what belongs to another type. */
function ofType(type: Exposure["type"] | ""): Partial<Exposure> {
  return {
    type: type || null,
    ...(type === "Ingress" ? {} : { class: null, tls_secret: null, annotations: {} }),
    ...(type === "Gateway" ? {} : { gateway: null, gateway_section: null }),
  };
}

export function AccessFields({ settings, wrong, onChange }: FieldsProps) {
  return (
    <fieldset class="choice">
      <legend>Access</legend>
      {(["private", "public"] as const).map((type) => (
        <label key={type}>
          <input
            type="radio"
            name="access"
            checked={settings.access_type === type}
            onChange={() => onChange({ ...settings, access_type: type })}
          />
          {ACCESS[type]}
        </label>
      ))}
      {wrong.access_type && <span class="wrong">{wrong.access_type}</span>}
    </fieldset>
  );
}
