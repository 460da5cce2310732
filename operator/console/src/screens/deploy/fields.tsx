import type { ComponentProps } from "preact";
import { useRef } from "preact/hooks";
import { MESSAGE_MOST } from "../../pure/texts.ts";
import type { Previewed } from "../../state/preview.ts";
import type { Right } from "../../ui/action.tsx";
import { Field } from "../../ui/field.tsx";
import { Segments } from "../../ui/segments.tsx";
import { LinesField, type TextProps } from "../../ui/text-field.tsx";

/** A text that is only read, all of it however narrow the column. */
export function WholeText({ label, value }: Pick<TextProps, "label" | "value">) {
  return (
    <Field label={label}>
      {(attributes) => <textarea {...attributes} class="input whole" readOnly rows={1} value={value} />}
    </Field>
  );
}

/** Why it is done: it stays in the history. */
export function MessageField(props: Pick<TextProps, "value" | "wrong"> & { onChange: (value: string) => void }) {
  const { value } = props;
  const isLong = value.length > MESSAGE_MOST * 0.8;
  return (
    <LinesField
      {...props}
      label="Message (optional)"
      hint={isLong ? `${[...value].length} of ${MESSAGE_MOST} characters` : "Reason, kept in the history"}
    />
  );
}

interface CheckProps {
  label: string;
  hint: string;
  checked: boolean;
  /** It cannot be changed: `hint` says why. It can be reached all the same. */
  isOut?: boolean;
  onChange: (checked: boolean) => void;
}

/** A box to tick, with what it means. */
export function Check({ label, hint, checked, isOut = false, onChange }: CheckProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        aria-disabled={isOut ? "true" : undefined}
        onClick={(event) => isOut && event.preventDefault()}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        {label}
        <span class="hint small muted">{hint}</span>
      </span>
    </label>
  );
}

interface BypassProps {
  /** The reason; undefined where the rules are not gone past. */
  value: string | undefined;
  wrong?: string;
  onChange: (value: string | undefined) => void;
}

/** Goes past the rules for deploys, with a reason: for who may. */
export function BypassField({ value, wrong, onChange }: BypassProps) {
  const is = value !== undefined;
  return (
    <div class={is ? "bypass on" : "bypass"}>
      <Check
        label="Bypass the rules"
        hint="It does not wait. History keeps the reason and your name"
        checked={is}
        onChange={(checked) => onChange(checked ? "" : undefined)}
      />
      {is && <LinesField label="Reason for the bypass" required {...{ value, wrong, onChange }} />}
    </div>
  );
}

interface ReasonProps<T> {
  filled: T;
  wrong: Record<string, string>;
  offersBypass: boolean;
  onChange: (filled: T) => void;
}

/** Why the rules are bypassed, where that is offered, and the message. */
export function ReasonFields<T extends { message?: string; bypass?: string }>(props: ReasonProps<T>) {
  const { filled, wrong, offersBypass, onChange } = props;
  return (
    <>
      {offersBypass && (
        <BypassField
          value={filled.bypass}
          wrong={wrong.bypass_reason}
          onChange={(bypass) => onChange({ ...filled, bypass })}
        />
      )}
      <MessageField
        value={filled.message ?? ""}
        wrong={wrong.message}
        onChange={(message) => onChange({ ...filled, message })}
      />
    </>
  );
}

interface Offered {
  /** What is deployed, and where: what was offered for one thing is not for another. */
  of: string;
  right: Right | undefined;
  value: string | undefined;
  preview: Previewed<{ guards: { reason: string }[] }>;
  isRejected?: boolean;
}

/**
 * Whether going past the rules is offered: to who may, where something but a suspension holds or refuses what they ask for, or they do it already.
 *
 * From then on it stays: it is not taken from under the keyboard of who takes it back.
 */
export function useBypassOffer({ of, right, value, preview, isRejected }: Offered): boolean {
  const offered = useRef("");
  const isHeld = preview.data?.guards.some(({ reason }) => reason !== "Suspended");
  if (isRejected || value !== undefined || isHeld || preview.problem?.isChanged) offered.current = of;
  return right?.allowed === true && offered.current === of;
}

export interface Choice {
  value: string;
  says: string;
  /** It cannot be chosen. */
  isOut?: boolean;
}

interface SelectProps {
  label: string;
  value: string;
  choices: Choice[];
  hint?: string;
  wrong?: string;
  /** Whether it has the focus when the dialog opens. */
  first?: boolean;
  onChange: (value: string) => void;
}

/** One of several. */
export function SelectField({ label, value, choices, hint, wrong, first, onChange }: SelectProps) {
  return (
    <Field label={label} hint={hint} wrong={wrong}>
      {(attributes) => (
        <select
          {...attributes}
          class="input"
          data-first={first || undefined}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        >
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value} disabled={choice.isOut}>
              {choice.says}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** A switch with its label seen. */
export function Switch<T extends string>(props: ComponentProps<typeof Segments<T>>) {
  return (
    <div class="field">
      <span class="label" aria-hidden="true">
        {props.label}
      </span>
      <Segments {...props} />
    </div>
  );
}
