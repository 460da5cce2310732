import { personOf } from "../pure/people.ts";

/** Somebody by what they are called, with the whole username as title; nothing is written without a name but what stands for it. */
export function Person({ name, unknown = "unknown" }: { name?: string; unknown?: string }) {
  return <span title={name}>{name ? personOf(name) : unknown}</span>;
}
