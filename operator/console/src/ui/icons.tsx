import type { JSX } from "preact";

type Shape =
  | "check"
  | "cross"
  | "clock"
  | "ring"
  | "moon"
  | "warning"
  | "circle"
  | "copy"
  | "back"
  | "external"
  | "print"
  | "search"
  | "restart";

const PATHS: Record<Shape, JSX.Element> = {
  check: <path d="M3.5 8.5l3 3 6-7" />,
  cross: <path d="M4 4l8 8M12 4l-8 8" />,
  clock: <path d="M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 3v3l2 1.5" />,
  ring: <path d="M14 8a6 6 0 1 1-6-6" />,
  moon: <path d="M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z" />,
  warning: <path d="M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.2" />,
  circle: <path d="M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z" />,
  copy: <path d="M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z" />,
  back: <path d="M6.5 3.5L3 7l3.5 3.5M3 7h6a4 4 0 0 1 4 4v1.5" />,
  external: <path d="M9 3h4v4M13 3L7.5 8.5M11 9.5V13H3V5h3.5" />,
  print: <path d="M4.5 6V2.5h7V6M4.5 11.5H2.5V6h11v5.5h-2M4.5 9.5h7v4h-7z" />,
  restart: <path d="M13 8.2a5 5 0 1 1-1.4-3.7M13 2v3.2H9.8" />,
  search: <path d="M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5L14 14" />,
};

/** A drawing of one line. It says nothing to a screen reader: the word stands beside it. */
export function Icon({ shape, spins = false }: { shape: Shape; spins?: boolean }) {
  return (
    <svg
      class={spins ? "spin" : undefined}
      width="15"
      height="15"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {PATHS[shape]}
    </svg>
  );
}
