/** What a form has of a deployment config: prefilled, what was changed of it, what is wrong with that, and what is sent. Pure. */

export type DeploymentType = "serverless" | "server_based";

export interface Amounts {
  cpu?: string | null;
  memory?: string | null;
}

export interface Resources {
  requests?: Amounts | null;
  limits?: Amounts | null;
}

/** A config as the API tells and takes it. */
export interface Config {
  deployment_type: string;
  config?: {
    autoscaling?: {
      min_replicas?: number | null;
      max_replicas?: number | null;
      target_cpu_utilization_percentage?: number | null;
    } | null;
    idle_seconds?: number | null;
    max_replicas?: number | null;
    hold_seconds?: number | null;
    resources?: Resources | null;
  } | null;
}

/** The fields of the form, each a text as it was typed. */
export interface ConfigFields {
  type: DeploymentType;
  min: string;
  max: string;
  cpu: string;
  idle: string;
  most: string;
  hold: string;
  requestsCpu: string;
  requestsMemory: string;
  limitsCpu: string;
  limitsMemory: string;
}

export type NumberField = "min" | "max" | "cpu" | "idle" | "most" | "hold";
export type AmountField = "requestsCpu" | "requestsMemory" | "limitsCpu" | "limitsMemory";

interface NumberRule {
  /** The field as a request names it, and as an error does. */
  path: string;
  least: number;
  most: number;
  /** What it is where nobody has said. */
  first: number;
  type: DeploymentType;
}

const CONFIG = "deployment_config.config";

export const NUMBERS: Record<NumberField, NumberRule> = {
  min: { path: `${CONFIG}.autoscaling.min_replicas`, least: 1, most: 1000, first: 1, type: "server_based" },
  max: { path: `${CONFIG}.autoscaling.max_replicas`, least: 1, most: 1000, first: 2, type: "server_based" },
  cpu: {
    path: `${CONFIG}.autoscaling.target_cpu_utilization_percentage`,
    least: 1,
    most: 1000,
    first: 80,
    type: "server_based",
  },
  idle: { path: `${CONFIG}.idle_seconds`, least: 5, most: 86_400, first: 300, type: "serverless" },
  most: { path: `${CONFIG}.max_replicas`, least: 1, most: 1000, first: 10, type: "serverless" },
  hold: { path: `${CONFIG}.hold_seconds`, least: 1, most: 3600, first: 120, type: "serverless" },
};

export const AMOUNTS: Record<AmountField, { path: string; part: "requests" | "limits"; of: "cpu" | "memory" }> = {
  requestsCpu: { path: `${CONFIG}.resources.requests.cpu`, part: "requests", of: "cpu" },
  requestsMemory: { path: `${CONFIG}.resources.requests.memory`, part: "requests", of: "memory" },
  limitsCpu: { path: `${CONFIG}.resources.limits.cpu`, part: "limits", of: "cpu" },
  limitsMemory: { path: `${CONFIG}.resources.limits.memory`, part: "limits", of: "memory" },
};

const NUMBER_NAMES = Object.keys(NUMBERS) as NumberField[];
const AMOUNT_NAMES = Object.keys(AMOUNTS) as AmountField[];
export const QUANTITY = /^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/;
const QUANTITY_MOST = 32;

/** The form as it is prefilled: what is live, where that is of this type, else the type's defaults. Compute is kept whatever the type. */
export function prefilled(type: DeploymentType, live: Config | undefined): ConfigFields {
  const known = live?.deployment_type === type ? live.config : undefined;
  const scaling = known?.autoscaling;
  const resources = live?.config?.resources;
  const number = (name: NumberField, value: number | null | undefined) => String(value ?? NUMBERS[name].first);
  return {
    type,
    min: number("min", scaling?.min_replicas),
    max: number("max", scaling?.max_replicas),
    cpu: number("cpu", scaling?.target_cpu_utilization_percentage),
    idle: number("idle", known?.idle_seconds),
    most: number("most", known?.max_replicas),
    hold: number("hold", known?.hold_seconds),
    requestsCpu: resources?.requests?.cpu ?? "",
    requestsMemory: resources?.requests?.memory ?? "",
    limitsCpu: resources?.limits?.cpu ?? "",
    limitsMemory: resources?.limits?.memory ?? "",
  };
}

/** The type of the form: the one that was chosen, else the live one's, else serverless, as the product has it. */
export function typeOf(edits: Partial<ConfigFields>, live: Config | undefined): DeploymentType {
  return edits.type ?? (live?.deployment_type === "server_based" ? "server_based" : "serverless");
}

/** The form as it stands. */
export function filled(edits: Partial<ConfigFields>, live: Config | undefined): ConfigFields {
  return { ...prefilled(typeOf(edits, live), live), ...edits };
}

/** What to send: the fields that differ from what is prefilled; undefined where nothing does, so that what is live is kept. */
export function configToSend(edits: Partial<ConfigFields>, live: Config | undefined): Config | undefined {
  const type = typeOf(edits, live);
  const before = prefilled(type, live);
  const differs = (name: NumberField | AmountField) => {
    const value = edits[name]?.trim();
    return value && value !== before[name] ? value : undefined;
  };
  const numbers = new Map<NumberField, number>();
  for (const name of NUMBER_NAMES) {
    const value = differs(name);
    if (value && NUMBERS[name].type === type && Number(value) !== Number(before[name]))
      numbers.set(name, Number(value));
  }
  const resources: { requests?: Amounts; limits?: Amounts } = {};
  for (const name of AMOUNT_NAMES) {
    const value = differs(name);
    const { part, of } = AMOUNTS[name];
    if (value) resources[part] = { ...resources[part], [of]: value };
  }
  const hasResources = Object.keys(resources).length > 0;
  if (live?.deployment_type === type && numbers.size === 0 && !hasResources) return undefined;
  const config: NonNullable<Config["config"]> =
    type === "serverless"
      ? named({
          idle_seconds: numbers.get("idle"),
          max_replicas: numbers.get("most"),
          hold_seconds: numbers.get("hold"),
        })
      : numbers.size > 0
        ? {
            autoscaling: named({
              min_replicas: numbers.get("min"),
              max_replicas: numbers.get("max"),
              target_cpu_utilization_percentage: numbers.get("cpu"),
            }),
          }
        : {};
  return { deployment_type: type, config: hasResources ? { ...config, resources } : config };
}

/** All of it, for whoever is asked to deploy what has no config to keep. Compute is left out where nobody has said any. */
export function wholeConfig(edits: Partial<ConfigFields>, before: Config | undefined): Config {
  const form = filled(edits, before);
  const value = (name: NumberField) => Number(form[name].trim() || prefilled(form.type, before)[name]);
  const sent = configToSend(edits, before)?.config?.resources;
  const kept = before?.config?.resources;
  const resources = sent || kept ? { resources: merged(kept, sent) } : {};
  if (form.type === "serverless") {
    const config = { idle_seconds: value("idle"), max_replicas: value("most"), hold_seconds: value("hold") };
    return { deployment_type: form.type, config: { ...config, ...resources } };
  }
  const autoscaling = {
    min_replicas: value("min"),
    max_replicas: value("max"),
    target_cpu_utilization_percentage: value("cpu"),
  };
  return { deployment_type: form.type, config: { autoscaling, ...resources } };
}

function merged(kept: Resources | null | undefined, sent: Resources | null | undefined): Resources {
  const parts = (["requests", "limits"] as const).filter((part) => kept?.[part] || sent?.[part]);
  return Object.fromEntries(parts.map((part) => [part, { ...kept?.[part], ...sent?.[part] }]));
}

function named<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}

/** What is wrong with what was typed, by the field as the API names it. */
export function configWrong(edits: Partial<ConfigFields>, live: Config | undefined): Record<string, string> {
  const form = filled(edits, live);
  const wrong: Record<string, string> = {};
  const isNumber = new Map<NumberField, number>();
  for (const name of NUMBER_NAMES) {
    const { path, least, most, type, first } = NUMBERS[name];
    if (type !== form.type) continue;
    const text = form[name].trim();
    // An emptied field keeps what is live, or has the default.
    const value = text === "" ? Number(prefilled(form.type, live)[name] || first) : Number(text);
    if (/^[0-9]*$/.test(text) && value >= least && value <= most) isNumber.set(name, value);
    else wrong[path] = `A whole number from ${least} to ${most.toLocaleString("en")}`;
  }
  const [min, max] = [isNumber.get("min"), isNumber.get("max")];
  if (min !== undefined && max !== undefined && min > max) {
    wrong[edits.min === undefined ? NUMBERS.max.path : NUMBERS.min.path] = "Min replicas is at most Max replicas";
  }
  for (const name of AMOUNT_NAMES) {
    const text = form[name].trim();
    if (text === "" || edits[name] === undefined) continue;
    const { of } = AMOUNTS[name];
    if (!QUANTITY.test(text) || text.length > QUANTITY_MOST) {
      wrong[AMOUNTS[name].path] = of === "cpu" ? "An amount such as 100m or 2" : "An amount such as 256Mi or 1Gi";
    }
  }
  for (const [ask, limit] of [
    ["requestsCpu", "limitsCpu"],
    ["requestsMemory", "limitsMemory"],
  ] as const) {
    const [asked, most] = [amount(form[ask]), amount(form[limit])];
    if (asked === undefined || most === undefined || asked <= most) continue;
    const edited = edits[limit] !== undefined ? limit : ask;
    wrong[AMOUNTS[edited].path] ??= "The request is at most the limit";
  }
  return wrong;
}

const UNITS: Record<string, number> = {
  "": 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** The number that an amount stands for; undefined for what is none. */
export function amount(text: string): number | undefined {
  const found = /^([0-9]+(?:\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/.exec(text.trim());
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] as number) : undefined;
}
