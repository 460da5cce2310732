import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { created, line, option, quoted } from "./shell.ts";

/** The arguments that a real shell makes of a line. */
function read(line: string): string[] {
  const said = execFileSync("bash", ["-c", `LC_ALL=C.UTF-8\nprintf '%s\\0' ${line}`], { encoding: "utf8" });
  return said.split("\0").slice(0, -1);
}

const NASTY = [
  "plain",
  "Answers in French",
  'it\'s $HOME `id` $(id) \\ "quoted" !! #no',
  "",
  "; rm -rf /",
  "a\nb\tc",
  "\u001b[201~ and \u202eevil\u200b",
  "Grüße 🙂",
  "tag \u{e0041} end'",
  "=cat ~ *",
  "back\\slash and 'quote' with a bell \u0007",
];

describe("quoted", () => {
  it.each(NASTY)("is one argument of bash: %j", (text) => {
    expect(read(quoted(text))).toEqual([text]);
  });

  it("leaves what needs no quotes readable", () => {
    expect(quoted("support.example.com")).toBe("support.example.com");
    expect(quoted("v3")).toBe("v3");
    expect(quoted("two words")).toBe("'two words'");
  });

  it("shows no letter that a terminal would not show, or would take for a key", () => {
    expect(quoted("a\u001bb\u202ec")).toBe("$'a\\u001bb\\u202ec'");
  });
});

describe("option", () => {
  it("is left out where there is no value", () => {
    expect(option("--runtime", undefined)).toEqual([]);
    expect(option("--runtime", "")).toEqual([]);
  });

  it("holds a value that looks like an option in the same argument", () => {
    expect(read(option("--message", "--yes please").join(" "))).toEqual(["--message=--yes please"]);
  });
});

describe("created", () => {
  it("gives kubectl the manifest as it is, whatever is in it", () => {
    const manifest = { spec: { message: "EOF\n$(id) `id` \\ ' \" EOF" } };
    const line = created(manifest).replace("kubectl create -f -", "cat");
    expect(JSON.parse(execFileSync("bash", ["-c", line], { encoding: "utf8" }))).toEqual(manifest);
  });
});

it("makes a line of arguments, without those that are not given", () => {
  expect(line("kubectl", "get", "app", "support", "-n", "demo", "--type=merge")).toBe(
    "kubectl get app support -n demo --type=merge",
  );
  expect(read(line("patch", "app", undefined, "-p", `{"a":"it's $HOME"}`))).toEqual([
    "patch",
    "app",
    "-p",
    `{"a":"it's $HOME"}`,
  ]);
});
