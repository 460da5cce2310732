import { useEffect, useRef } from "preact/hooks";
import type { Row } from "../../pure/shapes.ts";
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

const PAGE = 10;

/** What the keys do. Returns what the table does with a key; letters work wherever the focus is, but for text fields and dialogs. */
export function useKeys(doing: Doing): (event: KeyboardEvent) => void {
  const latest = useRef(doing);
  latest.current = doing;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isTyping(event) || document.querySelector("dialog[open]")) return;
      if (byLetter(event, latest.current)) event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
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
function byKey(event: KeyboardEvent, doing: Doing): boolean {
  const row = doing.rowOf();
  switch (event.key) {
    case "ArrowDown":
      doing.focus(1);
      return true;
    case "ArrowUp":
      doing.focus(-1);
      return true;
    case "PageDown":
      doing.focus(PAGE);
      return true;
    case "PageUp":
      doing.focus(-PAGE);
      return true;
    case "Home":
      doing.focus("first");
      return true;
    case "End":
      doing.focus("last");
      return true;
    case "Enter":
      if (row) doing.open(row);
      return true;
    case " ":
      if (row) doing.toggle(row);
      return true;
    default:
      return false;
  }
}

function byLetter(event: KeyboardEvent, doing: Doing): boolean {
  if (!letters.value || event.ctrlKey || event.metaKey || event.altKey) return false;
  const row = doing.rowOf();
  switch (event.key) {
    case "j":
      doing.focus(1);
      return true;
    case "k":
      doing.focus(-1);
      return true;
    case "r":
    case "R":
      if (row) doing.rollBack(row);
      else doing.lacks();
      return true;
    case "a":
      if (row) doing.review(row);
      else doing.lacks();
      return true;
    case "c":
      doing.compare();
      return true;
    case "/":
      document.getElementById(SEARCH_ID)?.focus();
      return true;
    case "?":
      doing.help();
      return true;
    default:
      return false;
  }
}
