/** A report of the deploys of a time, as a file. */
import { call, GET } from "./client.ts";

export const FORMATS = ["csv", "md", "json"] as const;
export type Format = (typeof FORMATS)[number];

export interface Report {
  text: string;
  /** How many deploys there are, and whether their histories fit, in a sentence. */
  says: string;
}

export interface AskedReport {
  /** RFC 3339; `until` itself is not in it, and left out it is now. */
  since: string;
  until?: string;
  /** The id of a project; left out: every one whose deployments the caller may list. */
  project?: string;
  format: Format;
}

/** Makes the report. Throws Problem. */
export async function readReport(
  { since, until, project, format }: AskedReport,
  signal?: AbortSignal,
): Promise<Report> {
  const query = { since, until, project_id: project || undefined, format };
  const asked = GET("/v1/report", { params: { query }, signal });
  const found: unknown = await call(asked);
  const { response } = await asked;
  const text = typeof found === "string" ? found : JSON.stringify((found as { data: unknown }).data, null, 2);
  return { text, says: response.headers.get("X-Dynamiq-Report") ?? "" };
}
