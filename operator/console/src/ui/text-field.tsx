import { Field } from "./field.tsx";

export interface TextProps {
  label: string;
  value: string;
  hint?: string;
  wrong?: string;
  /** A time of the reader's zone, not any text. */
  type?: "datetime-local";
  /** Of a time, in seconds: how fine it is. */
  step?: number;
  readOnly?: boolean;
  required?: boolean;
  maxLength?: number;
  spellcheck?: boolean;
  inputMode?: "numeric" | "url";
  placeholder?: string;
  /** What the number counts, where the label does not say. */
  unit?: string;
  /** Whether it has the focus when the dialog opens. */
  first?: boolean;
  onChange?: (value: string) => void;
}

interface LinesProps extends Pick<TextProps, "label" | "hint" | "wrong" | "required" | "value"> {
  onChange: (value: string) => void;
}

/** A text of a few lines. */
export function LinesField({ label, hint, wrong, onChange, ...text }: LinesProps) {
  return (
    <Field label={label} hint={hint} wrong={wrong}>
      {(attributes) => (
        <textarea
          {...attributes}
          class="input short"
          rows={2}
          {...text}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** A line of text, or a time of the reader's zone. */
export function TextField({ label, hint, wrong, type, unit, first, onChange, ...input }: TextProps) {
  return (
    <Field label={label} hint={hint} wrong={wrong}>
      {(attributes) => {
        const control = (
          <input
            {...attributes}
            class="input"
            data-first={first || undefined}
            autocomplete="off"
            spellcheck={false}
            {...input}
            {...(type ? { type } : { type: "text" as const })}
            onInput={(event) => onChange?.(event.currentTarget.value)}
          />
        );
        if (!unit) return control;
        return (
          <span class="with-unit">
            {control}
            <span class="unit" aria-hidden="true">
              {unit}
            </span>
          </span>
        );
      }}
    </Field>
  );
}
