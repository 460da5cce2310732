import { describe, expect, it } from "vitest";
import { aroundName, type CallerLine, callerLines, readAloud } from "./callers.ts";
import type { Schemas } from "./shapes.ts";

type Callers = Schemas["Callers"];
type Change = Schemas["CallerChange"];

const BREAKS = "v3 reads `question`, which 312 of the last 1,000 runs (7 days) did not send: key web (312)";
const SENT = "v3 reads `text`: all of the last 20 runs (7 days) sent it";
const UNTOLD = "cannot be told for node `code` of v3: it may read other fields than the live version";
const AWAY = "the recorder does not answer";

const change = (message: string, more: Partial<Change> = {}): Change => ({
  ...{ kind: "Reads", name: "question", result: "Breaking", runs: 312, of: 1000, callers: [], message },
  ...more,
});
const sent = change(SENT, { name: "text", result: "Compatible", runs: 0, of: 20 });
const untold = change(UNTOLD, { kind: "CannotTell", name: "code", result: "Unknown", runs: null, of: null });
const callers = (more: Partial<Callers> = {}): Callers => ({
  ...{ result: "Compatible", days: 7, unknown: null, changes: [] },
  ...more,
});
/** A sentence as it is read aloud. */
const aloud = (message: string) => message.replaceAll("`", "");
const read = (more: Partial<Callers>) => callerLines(callers(more)).map(readAloud);

describe("the lines", () => {
  it("are the API's sentences, those that may break callers first", () => {
    const changes = [sent, untold, change(BREAKS)];
    expect(read({ result: "Breaking", changes })).toEqual(
      [`Breaking: ${BREAKS}`, `Unknown: ${UNTOLD}`, SENT].map(aloud),
    );
  });

  it("have the reason why callers were not counted, marked as unknown", () => {
    const changes = [change("v3 reads `question`", { result: "Unknown", runs: null, of: null }), sent];
    const lines = callerLines(callers({ result: "Unknown", unknown: AWAY, changes }));
    expect(lines.map(({ result }) => result)).toEqual(["Unknown", "Unknown", "Compatible"]);
    expect(lines.map(readAloud)).toEqual([
      "Unknown: v3 reads question",
      `how many callers it may break is unknown: ${AWAY}`,
      aloud(SENT),
    ]);
  });

  it.each(["Unknown", "Breaking"] as const)("never look compatible if the result is %s", (result) => {
    for (const changes of [[], [sent]]) {
      const [line] = callerLines(callers({ result, changes }));
      expect(line).toMatchObject({ result: "Unknown", message: "how many callers it may break is unknown" });
    }
  });

  it("have no mark if each difference concerns nobody", () => {
    expect(callerLines(callers({ changes: [sent] }))).toEqual([
      { result: "Compatible", name: "text", message: SENT, mark: "" },
    ]);
  });

  it("are one without a difference, and none if nothing is judged", () => {
    expect(callerLines(callers({ days: 3 }))).toEqual([
      {
        ...{ result: "None", name: "", mark: "" },
        message: "No difference in what it reads and answers concerns a caller of the last 3 days",
      },
    ]);
    expect(callerLines(null)).toEqual([]);
  });
});

describe("a name", () => {
  const line = (name: string, message: string): CallerLine => ({ result: "Breaking", mark: "Breaking", name, message });

  it.each(["question", "a`b", "`", "v3 reads", "<b>", "$&", "\u202e"])(
    "%j stands alone, and nothing is lost",
    (name) => {
      expect(aroundName(line(name, `v3 reads \`${name}\`, which \`all\` sent`))).toEqual([
        "v3 reads ",
        name,
        ", which `all` sent",
      ]);
    },
  );

  it("is looked for only if there is one", () => {
    expect(aroundName(line("", "cannot be told for v3: `` is empty"))[0]).toBe("cannot be told for v3: `` is empty");
    expect(aroundName(line("other", BREAKS))).toEqual([BREAKS, "", ""]);
  });
});
