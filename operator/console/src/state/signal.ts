/** Values that components which read them are drawn again for: what `@preact/signals` does, as far as it is used here. */
import { type Component, options, type VNode } from "preact";

/** What reads a value, and the values that it has read. */
interface Reader {
  draw: () => void;
  read: Set<Signal<unknown>>;
}

/** Preact's own hooks, by the names that its addons know them by, and the component of a node. */
type Hooks = Record<"__b" | "__r" | "diffed" | "unmount", ((...given: never[]) => void) | undefined>;
type Node = VNode & { __c?: Component & { reads?: Reader } };

/** What is being drawn now. */
let reader: Reader | undefined;

export class Signal<T> {
  readonly #readers = new Set<Reader>();

  constructor(private held: T) {}

  get value(): T {
    if (reader) {
      reader.read.add(this as Signal<unknown>);
      this.#readers.add(reader);
    }
    return this.held;
  }

  set value(next: T) {
    if (Object.is(next, this.held)) return;
    this.held = next;
    for (const each of [...this.#readers]) each.draw();
  }

  /** Calls back with what it is, now and at each change. Returns how to stop. */
  subscribe(says: (value: T) => void): () => void {
    const mine = { draw: () => says(this.held), read: new Set<Signal<unknown>>() };
    this.#readers.add(mine);
    says(this.held);
    return () => this.#readers.delete(mine);
  }

  leave(reader: Reader): void {
    this.#readers.delete(reader);
  }
}

export type ReadonlySignal<T> = Pick<Signal<T>, "subscribe"> & { readonly value: T };

export const signal = <T>(value: T): Signal<T> => new Signal(value);

function leave(of: Reader | undefined): void {
  for (const each of of?.read ?? []) each.leave(of as Reader);
  of?.read.clear();
}

function hook(name: keyof Hooks, does: (node: Node) => void): void {
  const hooks = options as unknown as Hooks;
  const before = hooks[name];
  hooks[name] = (...given: never[]) => {
    does(given[0] as unknown as Node);
    before?.(...given);
  };
}

const drawsNothing = () => {
  reader = undefined;
};
hook("__b", drawsNothing);
hook("diffed", drawsNothing);
hook("__r", ({ __c: component }) => {
  if (!component) return;
  leave(component.reads);
  component.reads ??= { draw: () => component.forceUpdate(), read: new Set() };
  reader = component.reads;
});
hook("unmount", ({ __c: component }) => leave(component?.reads));
