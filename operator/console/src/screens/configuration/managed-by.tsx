const NAMES: Record<string, string> = { argocd: "Argo CD", flux: "Flux", helm: "Helm" };

/** Who else writes this App, and what that means for a change here. */
export function ManagedBy({ manager }: { manager: string }) {
  const name = NAMES[manager.toLowerCase()] ?? manager;
  return (
    <div class="notice warn">
      <span>
        <strong>{name} manages this App.</strong> A change here is undone by {name}: change it where {name} takes it
        from.
      </span>
    </div>
  );
}
