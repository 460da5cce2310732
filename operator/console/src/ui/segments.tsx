import { useId } from "preact/hooks";

interface Props<T extends string> {
  label: string;
  choices: readonly T[];
  value: T;
  disabled?: boolean;
  onChange: (value: T) => void;
}

/** One of a few, all of them seen: radio buttons that look like a switch. */
export function Segments<T extends string>({ label, choices, value, disabled, onChange }: Props<T>) {
  const name = useId();
  return (
    <fieldset class="segments" disabled={disabled}>
      <legend class="hidden-label">{label}</legend>
      {choices.map((each) => (
        <label key={each}>
          <input type="radio" name={name} checked={each === value} onChange={() => onChange(each)} />
          {each}
        </label>
      ))}
    </fieldset>
  );
}
