/** How far something is that takes a while. */
export function Progress({ read, total, what }: { read: number; total: number; what: string }) {
  return (
    <div class="progress">
      <progress value={read} max={Math.max(total, 1)} aria-label={what} />
      <span class="small muted">
        {read.toLocaleString("en")} of {total.toLocaleString("en")} {what}
      </span>
    </div>
  );
}
