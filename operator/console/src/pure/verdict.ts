/** What verifying a history found, in words: of its rows and records, and apart from them of a digest that was expected. Pure. */
import type { Verification } from "./shapes.ts";

type Found = Pick<Verification, "rows" | "fits" | "misfit_count" | "expected" | "settings" | "says">;

export interface Verdict {
  /** Whether every row and record fits, whatever digest was expected. */
  isIntact: boolean;
  says: string;
  /** Of the digest that was expected, where one was. */
  expected?: { isFound: boolean; says: string };
}

export function verdictOf({ rows, fits, misfit_count, expected, settings, says }: Found): Verdict {
  const isIntact = fits || (misfit_count === 0 && settings?.fits !== false && expected?.found === false);
  const also = settings?.records ? ` and ${settings.says}` : "";
  const fit = `${rows.toLocaleString("en")} ${rows === 1 ? "row fits" : "rows fit"}${also}`;
  return {
    isIntact,
    says: isIntact ? `Intact: ${fit}, nothing was changed between the first and the newest` : says,
    expected: expected ? { isFound: expected.found, says: ofExpected(expected, isIntact) } : undefined,
  };
}

function ofExpected({ found, deployment_id, sequence }: NonNullable<Found["expected"]>, isIntact: boolean): string {
  if (found) return `${deployment_id ? `#${sequence ?? "?"}` : "A record of its settings"} has the expected digest.`;
  const because = isIntact
    ? "it is of another App, it was not copied whole, or the newest rows are gone since it was written down"
    : "rows are gone or were changed since it was written down";
  return `No row has the expected digest: ${because}.`;
}

/** Of the rows that were never rolled out. */
export const WITHOUT_DIGEST =
  "Rows that were never rolled out have no digest of their own; once they end, their outcome's digest covers them.";
