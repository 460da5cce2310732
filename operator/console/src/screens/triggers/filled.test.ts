import { expect, it } from "vitest";
import type { Trigger } from "../../pure/shapes.ts";
import { bodyOf, filledOf } from "./filled.ts";

const CONFIG = { schedule: null, timezone: "UTC", run_at: null, expires_at: null };

function trigger(config: Partial<Trigger["config"]>): Trigger {
  return { name: "nightly", config: { ...CONFIG, ...config }, input_transformer: null } as Trigger;
}

it("leaves the times of a trigger as they are where its name alone is changed", () => {
  const once = trigger({ run_at: "2126-01-01T09:30:47Z" });
  expect(bodyOf({ ...filledOf(once), name: "renamed" }, once).config.run_at).toBe("2126-01-01T09:30:47Z");
  const nightly = trigger({ schedule: "0 3 * * *", expires_at: "2126-01-01T09:30:47Z" });
  expect(bodyOf({ ...filledOf(nightly), name: "renamed" }, nightly).config.expires_at).toBe("2126-01-01T09:30:47Z");
  expect(bodyOf({ ...filledOf(nightly), expiresAt: "" }, nightly).config.expires_at).toBeUndefined();
});
