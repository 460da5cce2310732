import { Field } from "../../ui/field.tsx";
import { Icon } from "../../ui/icons.tsx";
import { useFocusOnLines } from "../../ui/new-line.ts";
import type { PartProps } from "./time-fields.tsx";

const MOST = 64;

/** What the App is called with: by field a text, or a JSONPath. */
export function InputFields({ filled, wrong, onChange }: PartProps) {
  const box = useFocusOnLines<HTMLFieldSetElement>(filled.selector.length);
  const set = (at: number, pair?: [string, string]) =>
    onChange({ selector: filled.selector.toSpliced(at, 1, ...(pair ? [pair] : [])) });
  return (
    <fieldset ref={box} class="column near">
      <legend>Input</legend>
      {filled.selector.length > 0 && (
        <ul class="variables plain">
          {filled.selector.map(([field, text], at) => (
            <li key={at}>
              <input
                class="input"
                aria-label="Field of the input"
                placeholder="Field, such as question"
                autocomplete="off"
                spellcheck={false}
                value={field}
                onInput={(event) => set(at, [event.currentTarget.value.trim(), text])}
              />
              <textarea
                class="input"
                rows={1}
                aria-label={`Value of ${field || "the new field"}`}
                placeholder="A text, or a JSONPath"
                value={text}
                onInput={(event) => set(at, [field, event.currentTarget.value])}
              />
              <button
                type="button"
                class="button plain tiny"
                aria-label={`Remove ${field || "the new field"}`}
                title="Remove"
                onClick={() => set(at)}
              >
                <Icon shape="cross" />
              </button>
            </li>
          ))}
        </ul>
      )}
      {wrong.input && <span class="wrong small">{wrong.input}</span>}
      <div class="buttons">
        <button
          type="button"
          class="button tiny"
          data-add
          disabled={filled.selector.length >= MOST}
          onClick={() => onChange({ selector: [...filled.selector, ["", ""]] })}
        >
          Add a field
        </button>
        <span class="small muted">
          {filled.selector.length === 0 ? "Without one the App is called with an empty input." : ""}
        </span>
      </div>
      <details open={Boolean(filled.path)}>
        <summary class="small">Path</summary>
        <Field label="Path" hint="JSONPath of the part of the input to take before the fields. Empty: all of it">
          {(attributes) => (
            <input
              {...attributes}
              class="input mono"
              autocomplete="off"
              spellcheck={false}
              maxLength={1024}
              value={filled.path}
              onInput={(event) => onChange({ path: event.currentTarget.value.trim() })}
            />
          )}
        </Field>
      </details>
    </fieldset>
  );
}
