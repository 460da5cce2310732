/** The line of kubectl dynamiq, or of kubectl, that does what a dialog does. Pure. */
import type { Config } from "./config.ts";
import { created, option, quoted } from "./shell.ts";

export interface Place {
  namespace: string;
  /** The object's name, which is not what people call the App. */
  app: string;
}

export interface DeployLine extends Place {
  version: string;
  /** Name of a Runtime; left out: what is live is kept. */
  runtime?: string;
  /** Left out: what is live is kept. */
  config?: Config;
  message?: string;
  /** Why the rules are gone past. */
  bypass?: string;
  /** Whether conversations go on with it. */
  takes?: boolean;
}

const API_VERSION = "dynamiq.getdynamiq.ai/v1alpha1";

function line(command: string, { namespace, app }: Place, ...options: string[][]): string {
  return ["kubectl dynamiq", command, quoted(app), "-n", quoted(namespace), ...options.flat()].join(" ");
}

function message(text: string | undefined): string[] {
  // `-m=…` is no option, `--message=…` is one.
  return text?.startsWith("-") ? option("--message", text) : option("-m", text);
}

/** Deploys a version. Compute has no option of the plugin: the row itself is made then. */
export function deployLine(asked: DeployLine): string {
  const { version, runtime, config } = asked;
  if (config?.config?.resources) return created(rowOf(asked));
  return line(
    "deploy",
    asked,
    option("--version", version),
    option("--runtime", runtime),
    configOptions(config),
    asked.takes ? ["--take-sessions"] : [],
    bypassOption(asked.bypass),
    message(asked.message),
  );
}

function bypassOption(reason: string | undefined): string[] {
  return reason ? option("--bypass", reason) : [];
}

function configOptions(given: Config | undefined): string[] {
  if (given === undefined) return [];
  const { autoscaling, idle_seconds, max_replicas, hold_seconds } = given.config ?? {};
  if (given.deployment_type === "serverless") {
    return [
      "--serverless",
      ...option("--max", max_replicas),
      ...option("--idle-seconds", idle_seconds),
      ...option("--hold-seconds", hold_seconds),
    ];
  }
  return [
    "--server-based",
    ...option("--min", autoscaling?.min_replicas),
    ...option("--max", autoscaling?.max_replicas),
    ...option("--cpu", autoscaling?.target_cpu_utilization_percentage),
  ];
}

/** The row as kubectl creates it: set once, like every row. */
function rowOf({ namespace, app, version, runtime, config, bypass, takes, message: why }: DeployLine): object {
  return {
    apiVersion: API_VERSION,
    kind: "Deployment",
    metadata: { namespace, generateName: `${app}-` },
    spec: {
      app,
      workflowVersion: version,
      ...(runtime ? { runtime } : {}),
      ...(config ? { config: configOf(config) } : {}),
      ...(takes ? { takeSessions: true } : {}),
      ...(bypass ? { bypass: { reason: bypass } } : {}),
      ...(why ? { message: why } : {}),
    },
  };
}

function configOf({ deployment_type: type, config }: Config): object {
  const { autoscaling, idle_seconds, max_replicas, hold_seconds, resources } = config ?? {};
  const compute = resources ? { resources } : {};
  if (type === "serverless") {
    return {
      type: "serverless",
      ...named({ idleSeconds: idle_seconds, maxReplicas: max_replicas, holdSeconds: hold_seconds }),
      ...compute,
    };
  }
  const scaling = named({
    minReplicas: autoscaling?.min_replicas,
    maxReplicas: autoscaling?.max_replicas,
    targetCPUUtilizationPercentage: autoscaling?.target_cpu_utilization_percentage,
  });
  return { type: "server", ...(Object.keys(scaling).length > 0 ? { autoscaling: scaling } : {}), ...compute };
}

function named(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
}

export interface NewAppLine extends Omit<DeployLine, "app" | "message"> {
  name: string;
  description: string;
  workflow: string;
  access: string;
}

/** Makes an App, and deploys it. The plugin deploys what is there: the App is made by kubectl. */
export function newAppLines(asked: NewAppLine): string {
  const app = objectName(asked.name);
  const manifest = {
    apiVersion: API_VERSION,
    kind: "App",
    metadata: { name: app, namespace: asked.namespace },
    spec: {
      displayName: asked.name,
      ...(asked.description ? { description: asked.description } : {}),
      workflow: asked.workflow,
      access: { type: asked.access },
    },
  };
  return `${created(manifest)}\n${deployLine({ ...asked, app })}`;
}

const NAME_MOST = 40;

/** What an App's object is called: `Café no. 1` is `cafe-no-1`. */
export function objectName(name: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/[^\p{ASCII}]/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  if (plain === "") return "app";
  return (/^[a-z]/.test(plain) ? plain : `app-${plain}`).slice(0, NAME_MOST).replace(/-+$/, "");
}

export interface RollBackLine extends Place {
  /** The row's sequence, else its name. */
  row: number | string;
  withConfig: boolean;
  /** What Git asks for does not wait after it. */
  noHold?: boolean;
  bypass?: string;
  message?: string;
}

/** Brings a row back. */
export function rollBackLine(asked: RollBackLine): string {
  const scaling = asked.withConfig ? ["--with-config"] : [];
  const hold = asked.noHold ? ["--no-hold"] : [];
  return line(
    "rollback",
    asked,
    option("--to-row", asked.row),
    scaling,
    hold,
    bypassOption(asked.bypass),
    message(asked.message),
  );
}

/** Approves, rejects, resumes or withdraws a row that waits. `word`: which of these. */
export function wordLine({
  word,
  row,
  message: why,
  ...place
}: Place & { word: string; row: number | string; message?: string }) {
  return line(word.toLowerCase(), place, [quoted(String(row))], message(why));
}

export interface RollBackCall {
  /** The origin of the management API. */
  origin: string;
  /** The App's id. */
  app: string;
  body: object;
}

/** The call of the management API that brings a row back. */
export function rollBackCall({ origin, app, body }: RollBackCall): string {
  return [
    `curl -X POST ${quoted(`${origin}/v1/apps/${app}/deploy`)}`,
    '-H "Content-Type: application/json"',
    '-H "Authorization: Bearer $DYNAMIQ_PERSONAL_ACCESS_TOKEN"',
    `-d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n  ");
}

export interface PromoteLine extends Place {
  environment: string;
  /** Where several namespaces are of this environment. */
  target?: string;
  hostname?: string;
  bypass?: string;
  message?: string;
}

/** Promotes what is live. */
export function promoteLine(asked: PromoteLine): string {
  return line(
    "promote",
    asked,
    option("--to", asked.environment),
    option("--target-namespace", asked.target),
    option("--hostname", asked.hostname),
    bypassOption(asked.bypass),
    message(asked.message),
  );
}

/** Says what was live at a time. */
export function atLine({ namespace, app, time }: Place & { time: string }): string {
  return `kubectl dynamiq at ${quoted(app)} ${quoted(time)} -n ${quoted(namespace)}`;
}

export interface ReportLine {
  /** Left out: all namespaces. */
  namespace?: string;
  since: string;
  until?: string;
  format: string;
}

/** Reports the deploys of a time. */
export function reportLine({ namespace, since, until, format }: ReportLine): string {
  const where = namespace ? ["-n", quoted(namespace)] : ["-A"];
  const options = [option("--since", since), option("--until", until), where, option("-o", format)];
  return ["kubectl dynamiq report", ...options.flat()].join(" ");
}
