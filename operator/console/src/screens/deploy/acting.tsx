import type { ComponentChildren, RefObject, TargetedKeyboardEvent } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import type { Problem } from "../../api/problem.ts";
import type { Leaving } from "../../state/leaving.ts";
import type { Right } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Icon } from "../../ui/icons.tsx";
import { useKeptFocus } from "../../ui/kept-focus.ts";
import { Leave } from "../../ui/leave.tsx";

interface Props {
  leaving: Leaving;
  /** What the button says that Enter presses; none where the form does nothing so. */
  action?: string;
  /** To what, which stands above the button where there is no room in it. */
  to?: string;
  button?: RefObject<HTMLButtonElement | null>;
  right?: Right;
  /** Asks once more what the caller may do. */
  askRight?: () => void;
  /** Why it cannot be done yet; empty where it can. */
  waits?: string;
  /** The first field that is wrong: it is brought into view. */
  mistake?: string;
  /** What to know before it is done, which keeps nobody from trying. */
  says?: string;
  isSending: boolean;
  /** It was sent, and whether it was done is not known. */
  isUncertain: boolean;
  /** Why the last try was refused. */
  problem?: Problem;
  onAct: () => void;
  /** What else the form does: more buttons. */
  others?: ComponentChildren;
  /** What became of it, above the buttons. */
  outcome?: ComponentChildren;
  children: ComponentChildren;
}

/** The form inside a dialog that does one thing: what is filled in, what became of it, and the buttons. */
export function ActingForm(props: Props) {
  const { leaving, onAct, outcome, problem, askRight, children } = props;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("[data-first]")?.focus(), []);
  useKeptFocus(() => form.current?.querySelector(props.isUncertain ? "[type=submit]" : ".ends > .buttons > .button"));
  const mayBeDone = props.isUncertain || (props.isSending && leaving.isUncertain);
  useEffect(() => leaving.tellUncertain(mayBeDone), [mayBeDone]);
  useEffect(() => {
    const control = props.mistake && form.current?.querySelector("[aria-invalid=true]");
    if (control) (control.closest(".field") ?? control).scrollIntoView({ block: "nearest" });
  }, [props.mistake]);
  useEffect(() => {
    // What the caller may do is not what it was when the form was opened.
    if (problem?.isForbidden) askRight?.();
  }, [problem]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!props.action || props.isSending || props.right?.allowed === false) return;
    if (props.waits) return focusWrong(form.current);
    onAct();
  };
  return (
    <form class="acting" ref={form} noValidate onSubmit={submit} onKeyDown={sendByKeys}>
      {children}
      <footer>
        {leaving.asks && <Leave leaving={leaving} />}
        <div class="ends" hidden={leaving.asks}>
          {outcome}
          <Buttons {...props} />
        </div>
      </footer>
    </form>
  );
}

/** Leads to the first field that is wrong. */
export function focusWrong(form: HTMLElement | null) {
  form?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
}

/** Ctrl+Enter, or ⌘+Enter, in a text of several lines does what Enter does in a line. */
function sendByKeys(event: TargetedKeyboardEvent<HTMLFormElement>) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  if (!(event.target instanceof HTMLTextAreaElement)) return;
  event.preventDefault();
  event.currentTarget.requestSubmit();
}

/** The same from a terminal. */
export function Terminal({ text, title = "From a terminal" }: { text: string; title?: string }) {
  return (
    <section class="terminal" aria-label={title}>
      <h3>{title}</h3>
      <Command text={text} />
    </section>
  );
}

function Buttons({ action, to, button, right, askRight, waits, says, isSending, leaving, others }: Props) {
  const id = useId();
  const isForbidden = right?.allowed === false;
  const why = isForbidden ? `You may not: ${right.needs ?? "ask an administrator"}` : waits || says;
  return (
    <div class="buttons end">
      <span id={id} class={isForbidden ? "why small break missing" : "why small muted break"}>
        {why}
        {isForbidden && askRight && (
          <button type="button" class="button plain tiny" onClick={askRight}>
            Ask again
          </button>
        )}
      </span>
      {to && (
        <span class="to-above small break" aria-hidden="true">
          To {to}
        </span>
      )}
      <button type="button" class="button" onClick={leaving.close}>
        Cancel
      </button>
      {others}
      {action && (
        <button
          ref={button}
          type="submit"
          class="button primary"
          aria-disabled={isForbidden || waits || isSending ? "true" : undefined}
          aria-label={to && `${action} to ${to}`}
          aria-describedby={why ? id : undefined}
          title={isForbidden ? why : undefined}
        >
          {isSending && <Icon shape="ring" spins />}
          <span>
            {action}
            {to && <span class="to-inside"> to {to}</span>}
          </span>
        </button>
      )}
    </div>
  );
}

interface HeldProps {
  sending: { isSending: boolean; isUncertain: boolean };
  class?: string;
  children: ComponentChildren;
}

/** Fields that stay as they were sent until it is known what became of that: a try after silence sends the same. */
export function Held({ sending, class: named = "held", children }: HeldProps) {
  const isHeld = sending.isSending || sending.isUncertain;
  const fields = useRef<HTMLFieldSetElement>(null);
  const left = useRef<HTMLElement>(undefined);
  // A field that is disabled has lost the focus before an effect could ask for it.
  const now = document.activeElement as HTMLElement | null;
  if (isHeld && now && fields.current?.contains(now)) left.current = now;
  useLayoutEffect(() => {
    if (!left.current) return;
    const button = fields.current?.form?.querySelector<HTMLElement>("[type=submit]");
    if (isHeld) button?.focus();
    else if (document.activeElement === button) left.current.focus();
    if (!isHeld) left.current = undefined;
  }, [isHeld]);
  return (
    <fieldset ref={fields} class={named} disabled={isHeld}>
      {children}
    </fieldset>
  );
}

/** Puts the focus on the button once it can be pressed, so that Enter does it; not where the reader is filling something in. */
export function useReadyFocus(button: RefObject<HTMLButtonElement | null>, isReady: boolean): void {
  const isDone = useRef(false);
  useEffect(() => {
    if (!isReady || isDone.current) return;
    isDone.current = true;
    const now = document.activeElement;
    if (!now?.matches("input, textarea, select, summary")) button.current?.focus();
  }, [isReady, button]);
}
