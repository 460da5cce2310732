import { describe, expect, it } from "vitest";
import {
  approvalsOf,
  bannersOf,
  offered,
  rejectionOf,
  releasedBy,
  verifiedInWords,
  whyNotBack,
  wordsOn,
} from "./guards.ts";

const AWAITS = { approvals: 0, approvals_needed: 1, resumable: false };
const HELD = { approvals: null, approvals_needed: null, resumable: true };
const YES = { allowed: true };
const NO = { allowed: false };

describe("words on a row that waits", () => {
  it("are never Approve for its author", () => {
    expect(wordsOn(AWAITS, false)).toEqual(["Approve", "Reject"]);
    expect(wordsOn(AWAITS, true)).toEqual(["Withdraw"]);
    expect(wordsOn(HELD, true)).toEqual(["Resume", "Withdraw"]);
    expect(wordsOn({ ...AWAITS, resumable: true }, false)).toEqual(["Approve", "Resume", "Reject"]);
  });

  it("are offered to whoever may say them", () => {
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
    expect(releasedBy({ released: { ...released, guards: ["AwaitingApproval", "Frozen"] } })).toBe("Approved by otto");
    expect(releasedBy({ released: { ...released, by: [] } })).toBe("");
    expect(releasedBy({ released: null })).toBe("");
  });
});

describe("what holds an App", () => {
  it("is told with suspension first, and without what single rows wait for", () => {
    const guard = (reason: string) => ({ reason, message: reason, applies_to: ["Git"], policy: null, until: null });
    const guards = ["Held", "AwaitingApproval", "Frozen", "Soaking", "Suspended"].map(guard) as never;
    expect(bannersOf({ guards }).map(({ reason }) => reason)).toEqual(["Suspended", "Frozen", "Held"]);
  });
});

describe("rejections", () => {
  const rejection = { flow_hash: "sha256:a", withdrawn: null } as never;
  it("are of a flow, until they are withdrawn", () => {
    expect(rejectionOf([rejection], "sha256:a")).toBe(rejection);
    expect(rejectionOf([rejection], "sha256:b")).toBeUndefined();
    const withdrawn = { flow_hash: "sha256:a", withdrawn: { by: null, reason: "" } } as never;
    expect(rejectionOf([withdrawn], "sha256:a")).toBeUndefined();
    expect(rejectionOf(undefined, "sha256:a")).toBeUndefined();
  });
});

describe("a row that cannot be brought back", () => {
  const told = { waits: [], notes: [], warm: null };
  it("says why, and what is not known is no reason", () => {
    expect(whyNotBack({ deployable: { ok: false, reasons: ["its flow is gone", "b"], ...told } })).toBe(
      "its flow is gone; b",
    );
    expect(whyNotBack({ deployable: { ok: null, reasons: ["you may not read Rejections"], ...told } })).toBe("");
    expect(whyNotBack({ deployable: null })).toBe("");
  });
});

describe("a verification", () => {
  const verified = { at: "", cases: 1, calls: 50, seconds: 2, score: null, message: null };
  it("says what was asked", () => {
    expect(verifiedInWords({ verified })).toBe("Verified: 1 case, 50 calls");
    expect(verifiedInWords({ verified: { ...verified, score: 0.9, message: "good" } })).toBe(
      "Verified: 1 case, 50 calls, score 0.9, good",
    );
    expect(verifiedInWords({ verified: null })).toBe("");
  });
});
