import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { MESSAGE_MOST, tooLong } from "../../pure/texts.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right, SENDING } from "../../ui/action.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { LinesField } from "../../ui/text-field.tsx";

interface Props {
  title: string;
  action: string;
  /** What the text is called that goes with it; none is asked for without. */
  label?: string;
  isRequired?: boolean;
  isDanger?: boolean;
  right?: Right;
  /** What is so where it fails, such as `Nothing was rejected`. */
  undone: string;
  /** Does it, and says so. */
  write: (text: string) => Promise<unknown>;
  onClose: () => void;
  /** What it means. */
  children: ComponentChildren;
}

/** One thing that is done, behind a dialog that says what it means and asks why. */
export function SayDialog({
  title,
  action,
  label,
  isRequired,
  isDanger,
  right,
  undone,
  write,
  onClose,
  children,
}: Props) {
  const [text, type] = useState("");
  const writing = useWrite();
  const wrong = tooLong(text, MESSAGE_MOST);
  const lacks = isRequired && text.trim() === "";
  const submit = async (event: Event) => {
    event.preventDefault();
    if (lacks || wrong || right?.allowed === false) return;
    if (await writing.run(() => write(text.trim()))) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <div class="body">
          {children}
          {label && <LinesField {...{ label, wrong }} required={isRequired} value={text} onChange={type} />}
        </div>
        <footer>
          <ProblemNotice problem={writing.problem} undone={undone} />
          <div class="buttons end">
            <Action onClick={onClose}>Cancel</Action>
            <Action
              type="submit"
              kind={isDanger ? "danger" : "primary"}
              right={right}
              why={(lacks && "say why first") || wrong || (writing.isBusy && SENDING)}
            >
              {action}
            </Action>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}
