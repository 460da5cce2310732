import { signal } from "./signal.ts";

export type Theme = "system" | "light" | "dark";
const KEPT = "theme";

/** The reader's choice: the one thing that is kept in this browser. */
export const theme = signal<Theme>((localStorage.getItem(KEPT) as Theme | null) ?? "system");

theme.subscribe((chosen) => {
  if (chosen === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEPT);
  } else {
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem(KEPT, chosen);
  }
});
