/** Listens to events, whose names have spaces between them. Returns what ends it. */
export function listen<E extends Event>(
  names: string,
  does: (event: E) => void,
  to: EventTarget = window,
  options?: AddEventListenerOptions,
): () => void {
  const each = names.split(" ");
  for (const name of each) to.addEventListener(name, does as EventListener, options);
  return () => {
    for (const name of each) to.removeEventListener(name, does as EventListener, options);
  };
}
