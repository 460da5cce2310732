/** The console's mark, as index.html has it for the browser's tab. It says nothing to a screen reader: its name stands beside it. */
export function Mark({ size }: { size: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#4353d6" />
      <path d="M9 8h7a8 8 0 0 1 0 16H9zM9 16h7" fill="none" stroke="#fff" stroke-width="3" />
    </svg>
  );
}
