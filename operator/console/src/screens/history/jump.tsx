import { useState } from "preact/hooks";
import { problemOf } from "../../api/problem.ts";
import { type Place, readPlace } from "../../pure/find-sequence.ts";
import { Action } from "../../ui/action.tsx";

/** How one gets far in a long history: its ends, a sequence, a day. */
export function JumpBar({ onGo, onHelp }: { onGo: (place: Place) => Promise<string>; onHelp: () => void }) {
  const [text, setText] = useState("");
  const [says, say] = useState("");
  const go = async (place: Place | undefined) => {
    if (place === undefined) {
      say("Write a sequence, such as #12, or a date, such as 2026-11-24.");
      return;
    }
    say("");
    try {
      say(await onGo(place));
    } catch (thrown) {
      say(problemOf(thrown).message);
    }
  };
  return (
    <div class="jump small">
      <Action kind="plain" tiny onClick={() => void go("newest")}>
        Newest
      </Action>
      <Action kind="plain" tiny onClick={() => void go("oldest")}>
        Oldest
      </Action>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void go(readPlace(text));
        }}
      >
        <label>
          <span class="hidden-label">Go to a sequence or a date</span>
          <input
            class="input"
            placeholder="#12 or 2026-11-24"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button plain tiny">
          Go
        </button>
      </form>
      <span class="muted" role="status">
        {says}
      </span>
      <span class="help muted">
        <kbd>j</kbd> <kbd>k</kbd> move · <kbd>Enter</kbd> details · <kbd>r</kbd> roll back · <kbd>Space</kbd> tick ·{" "}
        <kbd>/</kbd> search
      </span>
      <button type="button" class="button plain tiny" onClick={onHelp} aria-label="Keys">
        ?
      </button>
    </div>
  );
}
