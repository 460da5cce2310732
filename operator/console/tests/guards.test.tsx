// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one, told } from "./cast.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const REVIEW = `${APP}/history/${cast.WAITING}/review`;
const SAY = "POST /v1/apps/{app_id}/deployments/{deployment_id}/approvals";
const BUSY = "Too much is asked of the cluster at this moment; ask again.";
const ASKED = cast.LIVE + 2;

/** The review of the row that waits, once it shows what it would do and has put the focus on that. */
async function reviewed(): Promise<HTMLElement> {
  await kit.show(REVIEW);
  const review = await kit.dialog();
  await kit.says("Asked", review);
  await kit.settled();
  // The focus comes a moment later: until then it would be taken from what a test does.
  await kit.isFocused(await kit.button(/^Approve/, review));
  return kit.dialog();
}

it("Enter never ends a row for good, whatever it waits for", async () => {
  const review = await reviewed();
  const waits = cast.whole(ASKED).waits as NonNullable<ReturnType<typeof cast.whole>["waits"]>;
  const frozen = { ...waits, reason: "Frozen" as const, approvals: null, approvals_needed: null, resumable: false };
  api.says(cast.answerOfRow(ASKED, { waits: frozen }));
  await kit.returned();
  await kit.until(() => !kit.isThere("button", /^Approve/, review));
  await kit.isFocused(await kit.button("Cancel", review));
  await kit.button(/^Reject/, review);
  expect(review.querySelector("[type=submit]") === null).toBe(true);
  api.says(cast.answerOfRow(ASKED, { waits: null }));
  await kit.returned();
  await kit.isFocused(await kit.link("Look at the rollout", review));
});

it("an approval that is being sent keeps the focus whatever its result", async () => {
  const review = await reviewed();
  const reject = await kit.button(/^Reject/, review);
  reject.focus();
  api.hold(SAY);
  await user.click(reject);
  await kit.has(reject, "aria-disabled");
  await kit.isFocused(reject);
  api.refuse(409, BUSY, SAY);
  api.letGo();
  await kit.says(BUSY, review);
  await kit.isFocused(reject);
  api.isAway = true;
  await user.click(reject);
  await kit.isFocused(await kit.button("Try again", review));
});

it("a row whose preview fails can still be rejected", async () => {
  const shown = kit.show(REVIEW, cast.answer(SAY, cast.example(SAY)));
  api.refuse(429, BUSY, cast.READ_WAITING);
  await shown;
  const review = await kit.dialog();
  await kit.has(await kit.button(/^Approve/, review), "aria-disabled");
  await kit.press(/^Reject/, review);
  await kit.until(() => api.calls(SAY).length > 0);
  expect(kit.sent()).toMatchObject({ purpose: "Reject" });
});

it("the author of a row sees that someone else has to approve it, and withdraws it", async () => {
  const shown = kit.show(REVIEW);
  const { data } = api.session;
  const { created_by: author } = cast.whole(ASKED);
  api.session = { data: { ...data, user: author } };
  await shown;
  const review = await kit.dialog();
  await kit.says("You are its author: somebody else has to approve it", review);
  await kit.button(/^Withdraw/, review);
  expect(kit.isThere("button", /^Approve/, review)).toBe(false);
});

it.each([true, false])("a hold is resumed once the rollback that began it is live: %s", async (holds) => {
  const of = { row: "support-3", sequence: 3 };
  const [guard] = told(cast.READ_APP).guards;
  const held = { ...guard, reason: "Held", message: "Git is held after rollback #3", until: null } as NonNullable<
    typeof guard
  >;
  await kit.show(
    APP,
    cast.answer(cast.READ_APP, one(cast.app({ guards: [held], waiting: [], holds: of }))),
    cast.answer(cast.READ_ROW, one(cast.whole(cast.LIVE, { holds: holds ? of : null }))),
  );
  const rules = await kit.region("Rules for deploys");
  await kit.says("Git is held after rollback #3", rules);
  await kit.settled();
  await kit.until(() => kit.isThere("button", "Resume…", rules) === holds);
});
