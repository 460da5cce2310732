/** Rules for deploys in words: what holds an App and its rows, and what somebody may do about it. Pure. */

import { personOf } from "./people.ts";
import type { App, Deployment, Guard, OneDeployment, Purpose, Rejection, Waits } from "./shapes.ts";
import { plural } from "./texts.ts";

interface Right {
  allowed: boolean;
}

/** Which of an App's rights a word takes. */
export const RIGHTS = { Approve: "approve", Reject: "approve", Resume: "resume", Withdraw: "withdraw" } as const;

/** What a row waits for that somebody may say a word about; not the questions that its new pods are asked. */
export function waitsOf({ waits }: Pick<Deployment, "waits">): Waits | null {
  return waits?.reason === "Verifying" ? null : waits;
}

/** What can be said of a row that waits, by whoever may; the first is what somebody comes for. Its author approves none of it, and withdraws instead of rejecting. */
export function wordsOn(waits: Pick<Waits, "approvals_needed" | "resumable">, isAuthor: boolean): Purpose[] {
  const found: Purpose[] = [];
  if (waits.approvals_needed !== null && !isAuthor) found.push("Approve");
  if (waits.resumable) found.push("Resume");
  found.push(isAuthor ? "Withdraw" : "Reject");
  return found;
}

/** The word that lets a row go on, by which it is deployed; none where only its end can be asked for. */
export function letsGoOn(words: Purpose[]): Purpose | undefined {
  return words.find((word) => word === "Approve" || word === "Resume");
}

/** What the link to a row that waits says to somebody: the first word that they may say, or that they may look. */
export function offered(
  waits: Pick<Waits, "approvals_needed" | "resumable">,
  isAuthor: boolean,
  rights: Partial<Record<(typeof RIGHTS)[Purpose], Right>> | undefined,
): string {
  const first = rights && wordsOn(waits, isAuthor).find((word) => rights[RIGHTS[word]]?.allowed);
  return first ?? "Look at it";
}

/** The same of a row of the history; empty where it waits for no word. `me`: the reader's name. */
export function offerOn(
  row: Pick<Deployment, "waits" | "created_by">,
  me: string | undefined,
  rights: Parameters<typeof offered>[2],
): string {
  const waits = waitsOf(row);
  return waits ? offered(waits, row.created_by?.username === me, rights) : "";
}

/** `1 of 2 approvals`; empty where none is needed. */
export function approvalsOf({ approvals, approvals_needed: needed }: Pick<Waits, "approvals" | "approvals_needed">) {
  return needed === null ? "" : `${approvals ?? 0} of ${plural(needed, "approval")}`;
}

interface Asked {
  reason: string;
  policy?: string;
  serviceAccounts?: string[];
}

/** Who can approve a row that waits; empty where no approval is needed. Of several policies, a service account counts where each lists it. */
export function approversOf({ waits, pinned }: Pick<OneDeployment, "waits" | "pinned">): string {
  if (!waits || waits.approvals_needed === null) return "";
  const asked = ((pinned?.guards ?? []) as Asked[]).filter(({ reason }) => reason === "AwaitingApproval");
  const listed = asked.map((each) => each.serviceAccounts ?? []);
  const accounts = listed[0]?.filter((account) => listed.every((each) => each.includes(account))) ?? [];
  const policies = asked.flatMap(({ policy }) => policy ?? []);
  const named = policies.length ? `, by policy ${policies.join(" and ")}` : "";
  const people = "Anyone with the role dynamiq-approver, except its author";
  return accounts.length
    ? `${people}; of service accounts ${accounts.map(personOf).join(", ")}${named}`
    : `${people}${named}`;
}

/** What stands above an App: it is suspended, frozen, Git waits, or its rules cannot be read. What only some rows wait for is said where they are asked for. */
export function bannersOf({ guards }: Pick<App, "guards">): Guard[] {
  const told = ["Suspended", "Frozen", "Held", "GuardsUnknown"];
  return told.flatMap((reason) => guards.filter((each) => each.reason === reason));
}

/** The Rejections of a flow that stand, as they are told: the newest first. */
export function rejectionsOf(rejections: Rejection[] | undefined, flow: string | null | undefined): Rejection[] {
  return rejections?.filter((each) => !each.withdrawn && each.flow_hash === flow) ?? [];
}

/** That the version of a row is rejected, by the name that it has there: a preview and the operator say the same. Empty where it is not. */
export function rejectedAs(
  rejections: Rejection[] | undefined,
  { flow_hash, workflow_version: version }: Pick<Deployment, "flow_hash" | "workflow_version">,
): string {
  const [found] = rejectionsOf(rejections, flow_hash);
  if (!found) return "";
  const { created_by: by, reason } = found;
  return version ? `${version.version} was rejected by ${by?.username ?? "somebody"}: ${reason}` : found.message;
}

/** The same of a version, which names the newest of them. */
export function rejectionsOfVersion(rejections: Rejection[] | undefined, version: { rejection_id: string | null }) {
  return rejectionsOf(rejections, rejections?.find(({ id }) => id === version.rejection_id)?.flow_hash);
}

/** Why a row cannot be brought back; empty where it can, and where that is not known. `mayBypass`: that its version is rejected alone keeps the reader from nothing. */
export function whyNotBack(
  { deployable, workflow_version: version }: Pick<Deployment, "deployable" | "workflow_version">,
  mayBypass = false,
): string {
  if (deployable?.ok !== false) return "";
  const [first, ...more] = deployable.reasons;
  const isRejected = first?.startsWith(`${version?.version} was rejected by `);
  return mayBypass && isRejected && more.length === 0 ? "" : deployable.reasons.join("; ");
}

/** Who released a row, and how, where what it had waited for takes one kind of word: `Approved by anna, otto`. */
export function releasedBy({ released }: Pick<Deployment, "released">): string {
  const by = released?.by.map((each) => personOf(each.username)) ?? [];
  if (by.length === 0) return "";
  const isApproved = released?.guards.includes("AwaitingApproval");
  const isResumed = released?.guards.some((each) => each === "Held" || each === "Frozen");
  return `${isApproved ? (isResumed ? "Let go on" : "Approved") : "Resumed"} by ${by.join(", ")}`;
}

/** `Verified: 4 cases, 50 calls, score 0.92`; empty of a row whose pods were not asked. */
export function verifiedInWords({ verified }: Pick<Deployment, "verified">): string {
  if (!verified) return "";
  const { cases, calls, score, message } = verified;
  const parts = [plural(cases, "case"), plural(calls, "call"), score === null ? "" : `score ${score}`, message ?? ""];
  return `Verified: ${parts.filter(Boolean).join(", ")}`;
}
