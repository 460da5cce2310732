import { describe, expect, it } from "vitest";
import {
  approvalsOf,
  approversOf,
  bannersOf,
  letsGoOn,
  offered,
  rejectedAs,
  rejectionsOf,
  rejectionsOfVersion,
  releasedBy,
  verifiedInWords,
  whyNotBack,
  wordsOn,
} from "./guards.ts";

const AWAITS = { approvals: 0, approvals_needed: 1, resumable: false };
const HELD = { approvals: null, approvals_needed: null, resumable: true };
const YES = { allowed: true };
const NO = { allowed: false };

describe("actions on a waiting row", () => {
  it("are never Approve for its author", () => {
    expect(wordsOn(AWAITS, false)).toEqual(["Approve", "Reject"]);
    expect(wordsOn(AWAITS, true)).toEqual(["Withdraw"]);
    expect(wordsOn(HELD, true)).toEqual(["Resume", "Withdraw"]);
    expect(wordsOn({ ...AWAITS, resumable: true }, false)).toEqual(["Approve", "Resume", "Reject"]);
  });

  it("have one for Enter, which never ends the row", () => {
    expect(letsGoOn(wordsOn({ ...AWAITS, resumable: true }, false))).toBe("Approve");
    expect(letsGoOn(wordsOn(HELD, true))).toBe("Resume");
    expect(letsGoOn(wordsOn({ approvals_needed: null, resumable: false }, false))).toBeUndefined();
    expect(letsGoOn(wordsOn(AWAITS, true))).toBeUndefined();
  });

  it("are offered to a user with the right", () => {
    expect(offered(AWAITS, false, { approve: YES })).toBe("Approve");
    expect(offered(AWAITS, false, { approve: NO, resume: YES })).toBe("Look at it");
    expect(offered(AWAITS, true, { approve: YES, withdraw: YES })).toBe("Withdraw");
    expect(offered(HELD, false, { approve: NO, resume: YES })).toBe("Resume");
    expect(offered(HELD, false, undefined)).toBe("Look at it");
  });
});

describe("approvals", () => {
  it("are counted where any are needed", () => {
    expect(approvalsOf(AWAITS)).toBe("0 of 1 approval");
    expect(approvalsOf({ approvals: 1, approvals_needed: 2 })).toBe("1 of 2 approvals");
    expect(approvalsOf(HELD)).toBe("");
  });

  it("name who gave them", () => {
    const by = [{ id: "1", email: null, username: "otto" }];
    const released = { at: "", guards: ["Held"], by, approvals: [] };
    expect(releasedBy({ released })).toBe("Resumed by otto");
    expect(releasedBy({ released: { ...released, guards: ["AwaitingApproval", "Frozen"] } })).toBe("Let go on by otto");
    expect(releasedBy({ released: { ...released, guards: ["AwaitingApproval", "Soaking"] } })).toBe("Approved by otto");
    expect(releasedBy({ released: { ...released, by: [] } })).toBe("");
    expect(releasedBy({ released: null })).toBe("");
  });
});

describe("who can approve", () => {
  const waits = AWAITS as never;
  const asks = (policy: string, ...serviceAccounts: string[]) => ({
    reason: "AwaitingApproval",
    policy,
    serviceAccounts,
  });
  const PEOPLE = "Anyone with the role dynamiq-approver, except its author";
  it("is shown by role, and by the service accounts that each policy lists", () => {
    expect(approversOf({ waits, pinned: { guards: [asks("production", "ci", "bot")] } })).toBe(
      `${PEOPLE}; of service accounts ci, bot, by policy production`,
    );
    expect(approversOf({ waits, pinned: { guards: [asks("one", "ci", "bot"), asks("two", "bot")] } })).toBe(
      `${PEOPLE}; of service accounts bot, by policy one and two`,
    );
    const none = { reason: "AwaitingApproval", policy: "production" };
    expect(approversOf({ waits, pinned: { guards: [none, { reason: "Frozen", policy: "b" }] } })).toBe(
      `${PEOPLE}, by policy production`,
    );
    expect(approversOf({ waits, pinned: null })).toBe(PEOPLE);
  });

  it("is not shown for a row that needs no approval", () => {
    expect(approversOf({ waits: HELD as never, pinned: { guards: [asks("production")] } })).toBe("");
    expect(approversOf({ waits: null, pinned: null })).toBe("");
  });
});

describe("guards of an App", () => {
  it("are listed with suspension first, and without those of single rows", () => {
    const guard = (reason: string) => ({ reason, message: reason, applies_to: ["Git"], policy: null, until: null });
    const guards = ["Held", "AwaitingApproval", "Frozen", "Soaking", "Suspended"].map(guard) as never;
    expect(bannersOf({ guards }).map(({ reason }) => reason)).toEqual(["Suspended", "Frozen", "Held"]);
  });
});

describe("rejections", () => {
  const told = {
    flow_hash: "sha256:a",
    withdrawn: null,
    created_by: { username: "otto" },
    reason: "it loses invoices",
  };
  const rejection = { ...told, message: "v5 was rejected by otto: it loses invoices" } as never;
  const row = (flow_hash: string, version?: string) =>
    ({ flow_hash, workflow_version: version ? { version } : null }) as never;
  it("are of a flow, until they are withdrawn", () => {
    expect(rejectionsOf([rejection, rejection], "sha256:a")).toEqual([rejection, rejection]);
    expect(rejectionsOf([rejection], "sha256:b")).toEqual([]);
    const withdrawn = { flow_hash: "sha256:a", withdrawn: { by: null, reason: "" } } as never;
    expect(rejectionsOf([withdrawn], "sha256:a")).toEqual([]);
    expect(rejectionsOf(undefined, "sha256:a")).toEqual([]);
  });

  it("are of a version by the one that it names, whatever they were rejected as", () => {
    const [newest, older, other] = [
      { ...told, id: "3", version: "v5" },
      { ...told, id: "2", version: null },
      { ...told, id: "1", version: "v6", flow_hash: "sha256:b" },
    ] as never[];
    const all = [newest, older, other] as never[];
    expect(rejectionsOfVersion(all, { rejection_id: "3" })).toEqual([newest, older]);
    expect(rejectionsOfVersion(all, { rejection_id: null })).toEqual([]);
    expect(rejectionsOfVersion(undefined, { rejection_id: "3" })).toEqual([]);
  });

  it("are named as the flow is in the row", () => {
    expect(rejectedAs([rejection], row("sha256:a", "v6"))).toBe("v6 was rejected by otto: it loses invoices");
    expect(rejectedAs([rejection], row("sha256:a"))).toBe("v5 was rejected by otto: it loses invoices");
    expect(rejectedAs([rejection], row("sha256:b", "v6"))).toBe("");
    const unstamped = { ...told, created_by: null } as never;
    expect(rejectedAs([unstamped], row("sha256:a", "v6"))).toBe("v6 was rejected by somebody: it loses invoices");
  });
});

describe("a row that is not deployable", () => {
  const told = { waits: [], notes: [], warm: null };
  const row = { workflow_version: { id: null, version: "v5", description: null } };
  it("has its reasons, and an unknown requirement is none", () => {
    expect(whyNotBack({ ...row, deployable: { ok: false, reasons: ["its flow is gone", "b"], ...told } })).toBe(
      "its flow is gone; b",
    );
    expect(whyNotBack({ ...row, deployable: { ok: null, reasons: ["you may not read Rejections"], ...told } })).toBe(
      "",
    );
    expect(whyNotBack({ ...row, deployable: null })).toBe("");
  });

  it("is offered to a user who may bypass the only reason", () => {
    const rejected = "v5 was rejected by otto: it loses invoices";
    const only = { ...row, deployable: { ok: false, reasons: [rejected], ...told } };
    expect(whyNotBack(only, true)).toBe("");
    expect(whyNotBack(only)).toBe(rejected);
    const more = { ...row, deployable: { ok: false, reasons: [rejected, "its flow is gone"], ...told } };
    expect(whyNotBack(more, true)).toBe(`${rejected}; its flow is gone`);
    expect(whyNotBack({ ...row, deployable: { ok: false, reasons: ["its flow is gone"], ...told } }, true)).not.toBe(
      "",
    );
  });
});

describe("a verification", () => {
  const verified = { at: "", cases: 1, calls: 50, seconds: 2, score: null, message: null };
  it("has its cases", () => {
    expect(verifiedInWords({ verified })).toBe("Verified: 1 case, 50 calls");
    expect(verifiedInWords({ verified: { ...verified, score: 0.9, message: "good" } })).toBe(
      "Verified: 1 case, 50 calls, score 0.9, good",
    );
    expect(verifiedInWords({ verified: null })).toBe("");
  });
});
