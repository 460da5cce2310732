import { personOf } from "../pure/people.ts";

/** Somebody by what they are called, with the whole username as title; `unknown` where there is none. */
export function Person({ name }: { name?: string }) {
  return <span title={name}>{name ? personOf(name) : "unknown"}</span>;
}

/** ` by boss (demo)`; nothing where that is not known. */
export function By({ author }: { author: { username: string } | null }) {
  return (
    author && (
      <>
        {" "}
        by <Person name={author.username} />
      </>
    )
  );
}
