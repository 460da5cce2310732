import { useEffect, useRef } from "preact/hooks";
import type { Row } from "../../pure/shapes.ts";
import { listen } from "../../state/listen.ts";
import { signal } from "../../state/signal.ts";
import { SEARCH_ID } from "./filters.tsx";

/** Whether single letters are keys. Whoever speaks to their computer turns them off. */
export const letters = signal(true);

interface Doing {
  focus: (step: number | "first" | "last") => void;
  open: (row: Row) => void;
  rollBack: (row: Row) => void;
  review: (row: Row) => void;
  toggle: (row: Row) => void;
  compare: () => void;
  help: () => void;
  /** The row that is active, where it was read. */
  rowOf: () => Row | undefined;
  /** Says that no row is active. */
  lacks: () => void;
}

/** How far a key goes, in rows. */
const STEPS: Record<string, number | "first" | "last"> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: "first",
  End: "last",
};

/** What the keys do. Returns what the table does with a key; letters work wherever the focus is, but for text fields and dialogs. */
export function useKeys(doing: Doing): (event: KeyboardEvent) => void {
  const latest = useRef(doing);
  latest.current = doing;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isTyping(event) || document.querySelector("dialog[open]")) return;
      if (byLetter(event, latest.current)) event.preventDefault();
    };
    return listen("keydown", onKey);
  }, []);
  return (event) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const isOnRow = (event.target as HTMLElement).dataset.place !== undefined;
    if (isOnRow ? byKey(event, latest.current) : isMove(event) && byKey(event, latest.current)) event.preventDefault();
  };
}

function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  return target.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]") ?? false;
}

function isMove(event: KeyboardEvent): boolean {
  return event.key === "ArrowDown" || event.key === "ArrowUp";
}

/** Keys that mean something on a row alone. */
function byKey({ key }: KeyboardEvent, doing: Doing): boolean {
  const step = STEPS[key];
  const row = doing.rowOf();
  if (step) doing.focus(step);
  else if (key === "Enter") row && doing.open(row);
  else if (key === " ") row && doing.toggle(row);
  else return false;
  return true;
}

function byLetter(event: KeyboardEvent, doing: Doing): boolean {
  if (!letters.value || event.ctrlKey || event.metaKey || event.altKey) return false;
  const onRow = (act: (row: Row) => void) => {
    const row = doing.rowOf();
    if (row) act(row);
    else doing.lacks();
  };
  const { key } = event;
  if (key === "j") doing.focus(1);
  else if (key === "k") doing.focus(-1);
  else if (key === "r" || key === "R") onRow(doing.rollBack);
  else if (key === "a") onRow(doing.review);
  else if (key === "c") doing.compare();
  else if (key === "/") document.getElementById(SEARCH_ID)?.focus();
  else if (key === "?") doing.help();
  else return false;
  return true;
}
