/** What the Deploy panel holds: what was filled in, what is wrong with it, and what it asks for. Pure. */
import { type Config, type ConfigFields, configToSend, configWrong } from "./config.ts";
import { DESCRIPTION_MOST, MESSAGE_MOST, nameWrong, tooLong } from "./texts.ts";

export type Mode = "new" | "existing";

/** What the reader has filled in; what is left out is as the panel found it. */
export interface Edits {
  mode?: Mode;
  appId?: string;
  name?: string;
  description?: string;
  access?: "private" | "public";
  versionId?: string;
  runtimeId?: string;
  message?: string;
  /** Why the rules are gone past; undefined where they are not. */
  bypass?: string;
  /** Whether conversations of earlier versions go on with this one. */
  takes?: boolean;
  config: Partial<ConfigFields>;
}

/** Fields that an error may name, by the API's names. */
export const FIELDS = [
  "name",
  "description",
  "message",
  "bypass_reason",
  "workflow_version_id",
  "runtime_id",
  "access_control",
  "deployment_config",
];

/** Whether leaving would lose something that takes time to fill in again. */
export function isFilled({
  name,
  description,
  message,
  bypass,
  config,
  versionId,
  runtimeId,
  access,
  takes,
}: Edits): boolean {
  return Boolean(
    takes ||
      bypass ||
      name ||
      description ||
      message ||
      versionId ||
      runtimeId ||
      access ||
      Object.values(config).some(Boolean),
  );
}

/** What is wrong with what was filled in, by field. `isAsked`: the reader has tried to go on, so that what is missing is wrong, too. */
export function wrongOf(edits: Edits, mode: Mode, live: Config | undefined, isAsked: boolean): Record<string, string> {
  const wrong: Record<string, string> = {};
  const say = (field: string, said: string) => {
    if (said) wrong[field] = said;
  };
  if (mode === "new") {
    if (edits.name !== undefined || isAsked) say("name", nameWrong(edits.name ?? ""));
    say("description", tooLong(edits.description ?? "", DESCRIPTION_MOST));
  } else {
    say("message", tooLong(edits.message ?? "", MESSAGE_MOST));
    say("bypass_reason", bypassWrong(edits.bypass));
  }
  return { ...wrong, ...configWrong(edits.config, mode === "new" ? undefined : live) };
}

/** What is wrong with the reason of a bypass. */
export function bypassWrong(reason: string | undefined): string {
  if (reason === undefined) return "";
  return reason.trim() === "" ? "Say why: a reason is never empty" : tooLong(reason, MESSAGE_MOST);
}

/** The reason of a bypass and the message, as a request has them. */
export function reasonBody({ bypass, message }: { bypass?: string; message?: string }) {
  return {
    ...(bypass?.trim() ? { bypass_reason: bypass.trim() } : {}),
    ...(message?.trim() ? { message: message.trim() } : {}),
  };
}

export interface Named {
  workflowId: string;
  versionId: string;
}

interface ListedRuntime {
  id: string;
  deprecated: boolean;
}

/** The Runtime that a new App gets: the chosen one, else the newest; none where none is known. `runtimes`: newest first. */
export function runtimeOfNew<R extends ListedRuntime>({ runtimeId }: Edits, runtimes: R[]): R | undefined {
  return runtimes.find(({ id }) => id === runtimeId) ?? runtimes.find(({ deprecated }) => !deprecated);
}

/** What deploys one more version of an App. */
export function deployBody(edits: Edits, { workflowId, versionId }: Named, live: Config | undefined) {
  return {
    workflow_id: workflowId,
    workflow_version_id: versionId,
    ...chosen(edits, live),
    ...reasonBody(edits),
    with_config: false,
    take_sessions: Boolean(edits.takes),
  };
}

/** What makes an App, and deploys it. It names the Runtime that is shown: another one may be the newest by then. */
export function newAppBody(
  edits: Edits,
  { workflowId, versionId }: Named,
  projectId: string,
  runtimes: ListedRuntime[],
) {
  return {
    name: (edits.name ?? "").trim(),
    project_id: projectId,
    workflow_id: workflowId,
    workflow_version_id: versionId,
    ...(edits.description?.trim() ? { description: edits.description.trim() } : {}),
    access_control: { access_type: edits.access ?? ("private" as const) },
    ...chosen({ ...edits, runtimeId: runtimeOfNew(edits, runtimes)?.id ?? edits.runtimeId }, undefined),
  };
}

function chosen(edits: Edits, live: Config | undefined) {
  const config = configToSend(edits.config, live);
  return {
    ...(edits.runtimeId ? { runtime_id: edits.runtimeId } : {}),
    ...(config ? { deployment_config: config as Sendable } : {}),
  };
}

type Sendable = Config & { deployment_type: "serverless" | "server_based" };
