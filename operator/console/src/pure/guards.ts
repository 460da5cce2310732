/** Rules for deploys in words: what holds an App and its rows, and what somebody may do about it. Pure. */
import type { Guard, Purpose, Rejection, Waits } from "../api/guards.ts";
import type { App, Deployment } from "../api/read.ts";

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
  return needed === null ? "" : `${approvals ?? 0} of ${needed} approval${needed === 1 ? "" : "s"}`;
}

/** What stands above an App: it is suspended, frozen, Git waits, or its rules cannot be read. What only some rows wait for is said where they are asked for. */
export function bannersOf({ guards }: Pick<App, "guards">): Guard[] {
  const told = ["Suspended", "Frozen", "Held", "GuardsUnknown"];
  return told.flatMap((reason) => guards.filter((each) => each.reason === reason));
}

/** The Rejection of a flow that stands. */
export function rejectionOf(rejections: Rejection[] | undefined, flow: string | null | undefined) {
  return rejections?.find((each) => !each.withdrawn && each.flow_hash === flow);
}

/** Why a row cannot be brought back; empty where it can, and where that is not known. */
export function whyNotBack({ deployable }: Pick<Deployment, "deployable">): string {
  return deployable?.ok === false ? deployable.reasons.join("; ") : "";
}

/** Who released a row, and what it had waited for: `approved or resumed by anna and otto`. */
export function releasedBy({ released }: Pick<Deployment, "released">): string {
  const by = released?.by.map((each) => each.username) ?? [];
  if (by.length === 0) return "";
  const word = released?.guards.includes("AwaitingApproval") ? "Approved" : "Resumed";
  return `${word} by ${by.join(", ")}`;
}

/** `Verified: 4 cases, 50 calls, score 0.92`; empty of a row whose pods were not asked. */
export function verifiedInWords({ verified }: Pick<Deployment, "verified">): string {
  if (!verified) return "";
  const { cases, calls, score, message } = verified;
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
  const parts = [counted(cases, "case"), counted(calls, "call"), score === null ? "" : `score ${score}`, message ?? ""];
  return `Verified: ${parts.filter(Boolean).join(", ")}`;
}
