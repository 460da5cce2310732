/** Lines to call an App, and the management API about it, filled in: the same three languages as the product's page. Pure. */
import { quoted } from "./shell.ts";

export type Language = "curl" | "Python" | "JavaScript";
export const LANGUAGES: Language[] = ["curl", "Python", "JavaScript"];

export interface Called {
  /** The URL of the App. */
  address: string;
  isPrivate: boolean;
  /** What its flow reads. */
  input: Record<string, string>;
}

export interface Managed {
  /** The origin of the management API. */
  origin: string;
  app: string;
  workflow: string | null;
  version: string | null;
  runtime: string | null;
}

const TOKEN = "DYNAMIQ_PERSONAL_ACCESS_TOKEN";

/** A call of the App itself, with an Access Key where it needs one. */
export function callSnippet(language: Language, { address, isPrivate, input }: Called): string {
  return request(language, { url: address, key: isPrivate ? "DYNAMIQ_ACCESS_KEY" : undefined, body: { input } });
}

/** The history, from the management API. */
export function historySnippet(language: Language, { origin, app }: Managed): string {
  return request(language, { url: `${origin}/v1/apps/${app}/deployments`, key: TOKEN, gives: "list" });
}

/** A deploy of the version that is live, from the management API. */
export function deploySnippet(language: Language, { origin, app, workflow, version, runtime }: Managed): string {
  const body = {
    workflow_id: workflow ?? "<workflow-id>",
    workflow_version_id: version ?? "<workflow-version-id>",
    runtime_id: runtime ?? "<runtime-id>",
  };
  return request(language, { url: `${origin}/v1/apps/${app}/deploy`, key: TOKEN, body, gives: "one" });
}

interface Asked {
  url: string;
  /** The variable that has the token; none: nobody asks for one. */
  key?: string;
  /** Makes it a POST. */
  body?: object;
  /** What the `data` of the answer is; an App's own answer has none. */
  gives?: "list" | "one";
}

function request(language: Language, asked: Asked): string {
  if (language === "curl") return curl(asked);
  return language === "Python" ? python(asked) : javaScript(asked);
}

function curl({ url, key, body }: Asked): string {
  const parts = [`curl ${body ? "-X POST " : ""}${quoted(url)}`];
  if (body) parts.push(`-H "Content-Type: application/json"`);
  if (key) parts.push(`-H "Authorization: Bearer $${key}"`);
  if (body) parts.push(`-d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`);
  return parts.join(" \\\n  ");
}

function python({ url, key, body, gives }: Asked): string {
  const lines = [
    ...(key ? ["import os"] : []),
    "import requests",
    "",
    `response = requests.${body ? "post" : "get"}(`,
    `    ${JSON.stringify(url)},`,
    ...(key ? [`    headers={"Authorization": f"Bearer {os.getenv('${key}')}"},`] : []),
    ...(body ? [`    json=${indented(JSON.stringify(body, null, 4), 4)},`] : []),
    ")",
    "response.raise_for_status()",
    ...(gives === "list"
      ? [`for deployment in response.json()["data"]:`, "    print(deployment)"]
      : [`print(response.json()${gives ? '["data"]' : ""})`]),
  ];
  return lines.join("\n");
}

function javaScript({ url, key, body, gives }: Asked): string {
  const headers = [
    ...(body ? [`    "Content-Type": "application/json",`] : []),
    ...(key ? [`    Authorization: \`Bearer \${process.env.${key}}\`,`] : []),
  ];
  const lines = [
    `const response = await fetch(${JSON.stringify(url)}, {`,
    ...(body ? [`  method: "POST",`] : []),
    ...(headers.length > 0 ? ["  headers: {", ...headers, "  },"] : []),
    ...(body ? [`  body: JSON.stringify(${indented(JSON.stringify(body, null, 2), 2)}),`] : []),
    "});",
    ...(gives
      ? ["const { data } = await response.json();", "console.log(data);"]
      : ["console.log(await response.json());"]),
  ];
  return lines.join("\n");
}

function indented(text: string, by: number): string {
  return text.replaceAll("\n", `\n${" ".repeat(by)}`);
}
