import { useId } from "preact/hooks";

interface Props<T extends string> {
  label: string;
  choices: readonly T[];
  value: T;
  onChange: (value: T) => void;
}

/** One of a few, all of them seen: radio buttons that look like a switch. */
export function Segments<T extends string>({ label, choices, value, onChange }: Props<T>) {
  const name = useId();
  return (
    <fieldset class="segments">
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
