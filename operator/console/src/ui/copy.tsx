import { useState } from "preact/hooks";
import { Icon } from "./icons.tsx";

/** A button that puts text on the clipboard and says so. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("Select it and copy by hand");
    }
    setTimeout(() => say(""), 2000);
  };
  return (
    <button type="button" class="button plain tiny" onClick={() => void copy()} title={label}>
      <Icon shape="copy" />
      <span class={said ? undefined : "hidden-label"} aria-live="polite">
        {said || label}
      </span>
    </button>
  );
}

/** A line for a shell, to copy. */
export function Command({ text, label = "Copy the command" }: { text: string; label?: string }) {
  return (
    <div class="command">
      <pre>{text}</pre>
      <Copy text={text} label={label} />
    </div>
  );
}
