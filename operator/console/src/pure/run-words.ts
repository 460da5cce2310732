/** Runs, their figures and verdicts in words. What is not known is a dash, and never 0. Pure. */

import type { Figures, Run, RunComparison } from "./shapes.ts";
import { plural } from "./texts.ts";
import { duration } from "./time.ts";

type Counts = Pick<Figures, "runs" | "failed" | "refused" | "abandoned">;
type RunTokens = Pick<Run, "input_tokens" | "output_tokens" | "cache_read_tokens">;

export const NONE = "—";

/** `8 ms`, `1.24 s`, `2 min 5 s`: three digits, as far as they are read. */
export function took(ms: number | null | undefined): string {
  if (ms == null) return NONE;
  if (ms < 999.5) return `${ms < 10 ? digits(ms, 2) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return seconds < 60 ? `${digits(seconds, seconds < 10 ? 2 : 1)} s` : duration(seconds);
}

/** `1,204`, and where it is `short` `12.3K`, `34.5M`. */
export function count(number: number | null | undefined, short = false): string {
  if (number == null) return NONE;
  if (short && number >= 1e4) return number.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
  return digits(number, number < 100 ? 1 : 0);
}

const digits = (number: number, most: number) => number.toLocaleString("en", { maximumFractionDigits: most });

/** `$0.0042`, `$12.40`: US dollars, with two digits that say something. */
export function dollars(usd: number | null | undefined): string {
  if (usd == null) return NONE;
  const isSmall = usd > 0 && usd < 0.995;
  return usd.toLocaleString("en", {
    style: "currency",
    currency: "USD",
    ...(isSmall ? { maximumSignificantDigits: 2, minimumSignificantDigits: 2 } : {}),
  });
}

/** What it cost, as far as prices are known. */
export function costOf({ cost_usd, unpriced_calls }: Pick<Run, "cost_usd" | "unpriced_calls">): string {
  if (cost_usd === null) return unpriced_calls > 0 ? "unpriced" : NONE;
  return unpriced_calls > 0 ? `${dollars(cost_usd)} + unpriced` : dollars(cost_usd);
}

/** `0.4 %` of runs that succeeded or failed; refused and abandoned ones are nobody's failure. */
export function percent(share: number | null | undefined): string {
  return share == null ? NONE : `${digits(share * 100, share < 0.0995 ? 1 : 0)} %`;
}

export function failureRate({ runs, failed, refused, abandoned }: Counts) {
  const counted = runs - refused - abandoned;
  return counted > 0 ? failed / counted : null;
}

export function tokensOf({ input_tokens, output_tokens }: Pick<Run, "input_tokens" | "output_tokens">) {
  return input_tokens === null && output_tokens === null ? null : (input_tokens ?? 0) + (output_tokens ?? 0);
}

/** `1,204 tokens in, 900 of them cached, 80 out`; empty where nothing is known. */
export function tokensInWords({ input_tokens, output_tokens, cache_read_tokens }: RunTokens): string {
  if (input_tokens === null) return "";
  const cached = cache_read_tokens ? `, ${count(cache_read_tokens)} of them cached` : "";
  return `${count(input_tokens)} tokens in${cached}, ${count(output_tokens)} out`;
}

/** `1,204 runs · 0.4 % failed · p95 812 ms · $0.42`. */
export function figuresInWords(figures: Figures): string {
  if (figures.runs === 0) return "no runs";
  return [
    plural(figures.runs, "run"),
    `${percent(failureRate(figures))} failed`,
    `p95 ${took(figures.p95_ms)}`,
    costOf(figures) !== NONE && costOf(figures),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** `3f2a91c0`: the part of an id that people read. */
export const shortId = (id: string) => id.slice(0, 8);

/** `v3 #12`, where it is known. */
export function rowOf({ workflow_version, sequence }: Pick<Run, "workflow_version" | "sequence">): string {
  return [workflow_version, sequence !== null && `#${sequence}`].filter(Boolean).join(" ") || NONE;
}

/** A figure of two rows, in the order of its columns. */
export interface ComparedLine {
  label: string;
  baseline: string;
  value: string;
  /** `× 1.4`, or of a rate by how many points. */
  change: string;
  interval: string;
  verdict?: string;
}

const times = (ratio: number | null) => (ratio === null ? NONE : `× ${digits(ratio, 2)}`);
const points = (by: number | null) => (by === null ? NONE : `${by > 0 ? "+" : ""}${digits(by * 100, 2)} points`);
const MEASURED = [
  ["p50", "p50_ms", took],
  ["p95", "p95_ms", took],
  ["Failed", "failure_rate", percent],
  ["Cost of a run", "cost_usd", dollars],
  ["Tokens of a run", "tokens", count],
] as const;

/** The figures of two rows, line by line. */
export function comparedLines(found: RunComparison): ComparedLine[] {
  const rows = [found.baseline, found.deployment];
  const lines: ComparedLine[] = [];
  const plain = (label: string, [baseline = NONE, value = NONE]: (string | undefined)[]) =>
    lines.push({ label, baseline, value, change: "", interval: "" });
  plain(
    "Runs",
    rows.map((row) => count(row?.figures.runs)),
  );
  for (const [label, name, says] of MEASURED) {
    const figure = found[name];
    if (!figure) continue;
    const { value, baseline, ratio, low, high, verdict } = figure;
    const isRate = name === "failure_rate";
    const told = isRate ? points : times;
    lines.push({
      label,
      baseline: says(baseline),
      value: says(value),
      change: told(isRate && value !== null && baseline !== null ? value - baseline : ratio),
      interval: low === null || high === null ? "" : `${told(low)} to ${told(high)}`,
      verdict,
    });
  }
  for (const name of Object.keys(Object.assign({}, ...rows.map((row) => row?.score_means)))) {
    const means = rows.map((row) => row?.score_means?.[name]);
    plain(
      `Score: ${name}`,
      means.map((mean) => mean?.toFixed(2)),
    );
  }
  return lines;
}
