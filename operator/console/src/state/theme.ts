import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEPT = "theme";

/** The reader's choice: the one thing that is kept in this browser. */
export const theme = signal<Theme>((localStorage.getItem(KEPT) as Theme | null) ?? "system");

effect(() => {
  if (theme.value === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEPT);
  } else {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem(KEPT, theme.value);
  }
});
