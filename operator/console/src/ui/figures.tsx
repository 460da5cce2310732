import type { ComponentChildren } from "preact";
import { Columns } from "./columns.tsx";

interface Props {
  label: string;
  head: readonly string[];
  /** A row begins with what it is of. */
  rows: readonly (readonly ComponentChildren[])[];
}

/** Figures in rows and columns, which scroll within their place. */
export function FigureTable({ label, head, rows }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
    <section class="figures" tabIndex={0} aria-label={label}>
      <table class="cards">
        <Columns of={head} />
        <tbody>
          {rows.map(([first, ...rest], row) => (
            <tr key={row}>
              <th scope="row">{first}</th>
              {rest.map((each, column) => (
                <td key={column} data-label={head[column + 1]}>
                  {each}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
