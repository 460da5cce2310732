import type { ComponentChildren, RefObject, TargetedKeyboardEvent } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import type { Leaving } from "../../state/leaving.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Icon } from "../../ui/icons.tsx";
import { useKeptFocus } from "../../ui/kept-focus.ts";
import { Leave } from "../../ui/leave.tsx";
import { Outcome, type OutcomeProps, waitsAfter } from "./outcome.tsx";

interface Props extends OutcomeProps {
  leaving: Leaving;
  /** What the button says that Enter presses; none where the form does nothing so. */
  action?: string;
  /** To what, which stands above the button where there is no room in it. */
  to?: string;
  /** Whether the button gets the focus; once, when it becomes so. */
  isReady?: boolean;
  right?: Right;
  /** Asks once more what the caller may do. */
  askRight?: () => void;
  /** Why it cannot be done yet; empty where it can. */
  waits?: string;
  /** The first field that is wrong: it is brought into view. */
  mistake?: string;
  /** What to know before it is done, which keeps nobody from trying. */
  says?: string;
  /** Does it; what had no answer is sent again without it. */
  onAct: () => void;
  /** What else the form does: more buttons. */
  others?: ComponentChildren;
  children: ComponentChildren;
}

/** The form inside a dialog that does one thing: what is filled in, what became of it, and the buttons. */
export function ActingForm(props: Props) {
  const { leaving, sending, askRight, children } = props;
  const { isSending, isUncertain, problem } = sending;
  const waits = isUncertain ? "" : waitsAfter(sending) || props.waits;
  const [action, to] = isUncertain ? ["Try again"] : [props.action, props.to];
  const form = useRef<HTMLFormElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("[data-first]")?.focus(), []);
  useKeptFocus(() => form.current?.querySelector(isUncertain ? "[type=submit]" : ".ends > .buttons > .button"));
  const mayBeDone = isUncertain || (isSending && leaving.isUncertain);
  useEffect(() => leaving.tellUncertain(mayBeDone), [mayBeDone]);
  useEffect(() => {
    const control = props.mistake && form.current?.querySelector("[aria-invalid=true]");
    if (control) (control.closest(".field") ?? control).scrollIntoView({ block: "nearest" });
  }, [props.mistake]);
  useEffect(() => {
    // What the caller may do is not what it was when the form was opened.
    if (problem?.isForbidden) askRight?.();
  }, [problem]);
  useReadyFocus(button, props.isReady);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!action || isSending || props.right?.allowed === false) return;
    if (waits) return focusWrong(form.current);
    if (isUncertain) sending.again();
    else props.onAct();
  };
  return (
    <form class="acting" ref={form} noValidate onSubmit={submit} onKeyDown={sendByKeys}>
      {children}
      <footer>
        {leaving.asks && <Leave leaving={leaving} />}
        <div class="ends" hidden={leaving.asks}>
          <Outcome {...props} />
          <Buttons {...props} {...{ action, to, waits, button, isSending }} />
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

interface ButtonsProps extends Omit<Props, keyof OutcomeProps> {
  button: RefObject<HTMLButtonElement | null>;
  isSending: boolean;
}

function Buttons({ action, to, button, right, askRight, waits, says, isSending, leaving, others }: ButtonsProps) {
  const id = useId();
  const isForbidden = right?.allowed === false;
  const why = isForbidden ? `You may not: ${right.needs ?? "ask an administrator"}` : waits || says;
  return (
    <div class="buttons end">
      <span id={id} class={isForbidden ? "why small break missing" : "why small muted break"}>
        {why}
        {isForbidden && askRight && (
          <Action kind="plain" tiny onClick={askRight}>
            Ask again
          </Action>
        )}
      </span>
      {to && (
        <span class="to-above small break" aria-hidden="true">
          To {to}
        </span>
      )}
      <Action onClick={leaving.close}>Cancel</Action>
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
function useReadyFocus(button: RefObject<HTMLButtonElement | null>, isReady = false): void {
  const isDone = useRef(false);
  useEffect(() => {
    if (!isReady || isDone.current) return;
    isDone.current = true;
    const now = document.activeElement;
    if (!now?.matches("input, textarea, select, summary")) button.current?.focus();
  }, [isReady, button]);
}
