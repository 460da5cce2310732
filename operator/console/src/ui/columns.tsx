import type { ComponentChildren } from "preact";

/** The head of a table: the name of each column. */
export function Columns({ of }: { of: readonly ComponentChildren[] }) {
  return (
    <thead>
      <tr>
        {of.map((each, column) => (
          <th key={column} scope="col">
            {each}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** The name of a column that is not seen, but read out. */
export const ACTIONS = <span class="hidden-label">Actions</span>;
