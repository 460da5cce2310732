import { useId } from "preact/hooks";
import type { Variable } from "../../pure/settings.ts";
import { Icon } from "../../ui/icons.tsx";
import { useFocusOnLines } from "../../ui/new-line.ts";
import type { FieldsProps } from "./fields.tsx";
import { NEW_VARIABLE, type Wrong } from "./wrong.ts";

const MOST = 128;
const SOURCES = { value: "Value", secret: "Secret", config_map: "ConfigMap" } as const;
type Source = keyof typeof SOURCES;

/** The variables of the App's pods, one a line: a value in plain sight, or the name of a key, whose content is never read. */
export function VariablesField({ settings, wrong, onChange }: FieldsProps) {
  const { variables } = settings;
  const box = useFocusOnLines<HTMLFieldSetElement>(variables.length);
  const set = (at: number, variable?: Variable) =>
    onChange({ ...settings, variables: variables.toSpliced(at, 1, ...(variable ? [variable] : [])) });
  return (
    <fieldset ref={box} class="column">
      <legend>Variables</legend>
      {variables.length > 0 && (
        <ul class="variables">
          {variables.map((variable, at) => (
            <Row key={at} at={at} variable={variable} wrong={wrong} onChange={(changed) => set(at, changed)} />
          ))}
        </ul>
      )}
      {wrong.variables && <span class="wrong small">{wrong.variables}</span>}
      <div class="buttons">
        <button
          type="button"
          class="button tiny"
          data-add
          disabled={variables.length >= MOST}
          onClick={() => onChange({ ...settings, variables: [...variables, NEW_VARIABLE] })}
        >
          Add a variable
        </button>
        <span class="small muted">A value is seen by whoever may read the App: keep what is secret in a Secret.</span>
      </div>
    </fieldset>
  );
}

interface RowProps {
  at: number;
  variable: Variable;
  wrong: Wrong;
  onChange: (changed?: Variable) => void;
}

function Row({ at, variable, wrong, onChange }: RowProps) {
  const id = useId();
  const source: Source = variable.secret ? "secret" : variable.config_map ? "config_map" : "value";
  const reference = variable.secret ?? variable.config_map;
  const said = (part: string) => wrong[`variables.${at}.${part}`];
  const ofAll = wrong[`variables.${at}`];
  const whole = ofAll ?? said("value") ?? said("reference.name") ?? said("reference.key") ?? said("secret");
  const says = [said("name"), whole].filter(Boolean).join("; ");
  const named = variable.name || "the new variable";
  const remove = () => onChange();
  const refer = (part: object) => onChange({ ...variable, [source]: { ...reference, ...part } });
  const invalid = (part: string) => ({
    // What is wrong with the variable as a whole is said at its name.
    "aria-invalid": (said(part) ?? (part === "name" && ofAll)) ? ("true" as const) : undefined,
    "aria-describedby": said(part) || whole ? `${id}-wrong` : undefined,
  });
  return (
    <li>
      <Line
        class="input mono"
        aria-label="Name of the variable"
        placeholder="NAME"
        value={variable.name}
        {...invalid("name")}
        onChange={(name) => onChange({ ...variable, name })}
      />
      <select
        class="input"
        aria-label={`Where ${named} comes from`}
        value={source}
        onChange={(event) => onChange(from(variable, event.currentTarget.value as Source))}
      >
        {Object.entries(SOURCES).map(([value, says]) => (
          <option key={value} value={value}>
            {says}
          </option>
        ))}
      </select>
      {reference ? (
        <span class="pair">
          <Line
            aria-label={`${SOURCES[source]} of ${named}`}
            placeholder={`Name of the ${SOURCES[source]}`}
            value={reference.name}
            {...invalid("reference.name")}
            onChange={(name) => refer({ name })}
          />
          <Line
            aria-label={`Key of ${named}`}
            placeholder="Key in it"
            value={reference.key}
            {...invalid("reference.key")}
            onChange={(key) => refer({ key })}
          />
        </span>
      ) : (
        <textarea
          class="input mono"
          rows={1}
          aria-label={`Value of ${named}`}
          spellcheck={false}
          value={variable.value ?? ""}
          {...invalid("value")}
          onInput={(event) => onChange({ ...variable, value: event.currentTarget.value })}
        />
      )}
      <button type="button" class="button plain tiny" aria-label={`Remove ${named}`} title="Remove" onClick={remove}>
        <Icon shape="cross" />
      </button>
      {says && (
        <span class="wrong small" id={`${id}-wrong`}>
          {says}
        </span>
      )}
    </li>
  );
}

interface LineProps {
  class?: string;
  "aria-label": string;
  "aria-invalid"?: "true";
  "aria-describedby"?: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
}

/** One line of text without spaces around it. */
function Line({ onChange, ...input }: LineProps) {
  return (
    <input
      class="input"
      autocomplete="off"
      spellcheck={false}
      {...input}
      onInput={(event) => onChange(event.currentTarget.value.trim())}
    />
  );
}

/** The variable with another source; nothing of the old one is kept. */
function from({ name }: Variable, source: Source): Variable {
  const empty = { name: "", key: "" };
  return {
    name,
    value: source === "value" ? "" : null,
    secret: source === "secret" ? empty : null,
    config_map: source === "config_map" ? empty : null,
  };
}
