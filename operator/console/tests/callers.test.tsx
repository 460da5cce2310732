// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import type { Schemas } from "../src/pure/shapes.ts";
import * as cast from "./cast.ts";
import { one, told } from "./cast.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

type Callers = Schemas["Callers"];
type Change = Schemas["CallerChange"];

const APP = `/console/apps/${cast.APP}`;
const BACK = `${APP}/history/${cast.OLDER}/roll-back`;
const BREAKS = told(cast.PREVIEW).callers as Callers;
const [READS] = BREAKS.changes as [Change];
const AWAY = "the recorder does not answer";
const QUIET = "No difference in what it reads and answers concerns a caller of the last 7 days";

/** Answers every preview with these callers. */
const previews = (callers: Callers | null): cast.Answers => ({
  ...cast.answer(cast.PREVIEW, one(cast.preview({ callers }))),
  ...cast.answer(cast.PREVIEW_PROMOTION, one(cast.promotion({ callers }))),
  ...cast.answer(cast.READ_WAITING, one({ ...told(cast.READ_WAITING), callers })),
});

/** Opens a dialog until it shows what it would do; the preview. */
async function previewed(callers: Callers | null, path = `${APP}/deploy`): Promise<HTMLElement> {
  await kit.show(path, previews(callers), cast.answer(cast.DEPLOY, one(cast.row(cast.LIVE))));
  const preview = await kit.region("Preview", await kit.dialog());
  await kit.settled();
  return preview;
}

/** The lines about callers, with their classes. */
const linesIn = (preview: HTMLElement): [string, string[]][] =>
  [...preview.querySelectorAll("ul[aria-label=Callers] > li")].map((each) => [
    kit.textOf(each),
    [...each.classList].filter((name) => name !== "small"),
  ]);
const changed = (more: Partial<Change>): Callers => ({ ...BREAKS, changes: [{ ...READS, ...more }] });
/** A sentence as it is drawn: names stand in another font instead of between backticks. */
const drawn = (message: string) => message.replaceAll("`", "");

describe.each([
  ["deploy", `${APP}/deploy`],
  ["promote", `${APP}/promote`],
  ["roll back", BACK],
  ["review", `${APP}/history/${cast.WAITING}/review`],
])("the dialog to %s", (_, path) => {
  it("warns in the API's words, for eyes and screen readers, and nothing is said without a judgement", async () => {
    const preview = await previewed(BREAKS, path);
    expect(linesIn(preview)).toEqual([[`Breaking: ${drawn(READS.message)}`, ["notice", "warn"]]]);
    await kit.says(`Breaking: ${drawn(READS.message)}`, await kit.find("status", undefined, preview));
    expect(await kit.findings()).toEqual([]);
    kit.leave();
    const other = await previewed(null, path);
    expect(linesIn(other)).toEqual([]);
    expect(kit.textOf(other)).not.toContain("Callers");
  });
});

it("a rollback that breaks callers is done by the same button", async () => {
  const preview = await previewed(BREAKS, BACK);
  expect(linesIn(preview)).toHaveLength(1);
  const button = await kit.button(`Roll back to v2 (#${cast.LIVE - 2})`);
  expect(button.getAttribute("aria-disabled")).toBe(null);
  await user.click(button);
  await kit.until(() => api.calls(cast.DEPLOY).length > 0);
  expect(kit.sent()).toMatchObject({ restores: cast.OLDER });
});

describe("what is unknown", () => {
  it.each([
    ["since nothing was counted", { runs: null, of: null, message: "v1 reads `question`" }, AWAY],
    ["of a node", { kind: "CannotTell", name: "code", message: "cannot be told for node `code` of v1" }, null],
  ] as const)("is marked so, and looks neither safe nor like a warning: %s", async (_, more, unknown) => {
    const callers: Callers = { ...changed({ ...more, result: "Unknown", callers: [] }), result: "Unknown", unknown };
    const preview = await previewed(callers);
    const marked = ["notice", "unknown"];
    const why = [[`How many callers it may break is unknown: ${AWAY}`, marked]];
    expect(linesIn(preview)).toEqual([[`Unknown: ${drawn(more.message)}`, marked], ...(unknown ? why : [])]);
    expect(preview.querySelectorAll(".callers :is(svg, .good, .muted)")).toHaveLength(0);
  });
});

describe("what concerns nobody", () => {
  it("is the plain sentence of each difference", async () => {
    const message = "v1 reads `question`: all of the last 20 runs (7 days) sent it";
    const preview = await previewed({ ...changed({ message, result: "Compatible" }), result: "Compatible" });
    expect(linesIn(preview)).toEqual([[drawn(message), []]]);
  });

  it("is one quiet line without a difference", async () => {
    const preview = await previewed({ ...BREAKS, result: "Compatible", changes: [] });
    expect(linesIn(preview)).toEqual([[QUIET, ["muted"]]]);
  });
});

it.each([
  ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
  ["a`b`<b>", "a`b`<b>"],
  ["\u202esegassem", "U+202Esegassem"],
  ["x".repeat(64), "x".repeat(64)],
])("a name is text, and what it hides is shown: %j", async (name, shown) => {
  const message = `v1 reads \`${name}\`, which 2 of the last 2 runs (7 days) did not send: trigger <i>\u202e1</i> (2)`;
  const preview = await previewed(changed({ name, message }));
  const says = `v1 reads ${shown}, which 2 of the last 2 runs (7 days) did not send: trigger <i>U+202E1</i> (2)`;
  expect(linesIn(preview)).toEqual([[`Breaking: ${says}`, ["notice", "warn"]]]);
  expect(preview.querySelector(".callers code")?.textContent).toBe(shown);
  expect(preview.querySelectorAll(".callers :is(img, b, i)")).toHaveLength(0);
});
