import { Fragment } from "preact";
import { Dialog } from "../../ui/dialog.tsx";
import { letters } from "./keyboard.ts";

const KEYS: [string[], string][] = [
  [["↓", "↑"], "Next and previous row"],
  [["j", "k"], "The same; the first j goes to the newest row"],
  [["Home", "End"], "Newest and oldest row"],
  [["Enter"], "Details of the row"],
  [["r"], "Roll back to the row"],
  [["a"], "Approve, reject, resume or withdraw the row, where it waits"],
  [["Space"], "Tick the row, to compare it with another"],
  [["c"], "Compare the two that are ticked"],
  [["/"], "Search"],
  [["?"], "These keys"],
];

/** What the keys do. */
export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div class="body">
        <dl class="facts keys">
          {KEYS.map(([keys, does]) => (
            <Fragment key={does}>
              <dt>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{does}</dd>
            </Fragment>
          ))}
        </dl>
        <label class="tick-line">
          <input
            type="checkbox"
            checked={letters.value}
            onChange={(event) => (letters.value = event.currentTarget.checked)}
          />
          Single letters are keys
        </label>
        <p class="small muted">
          Letters, / and ? work wherever the focus is on this page, but for text fields. The others work on a row.
        </p>
        <p class="small muted">
          The page holds only the rows in view: the browser's own search (Ctrl F) does not find the others. Search here
          looks through all of them.
        </p>
      </div>
    </Dialog>
  );
}
