import { expect, test } from "vitest";
import { callSnippet, deploySnippet, historySnippet, LANGUAGES } from "./snippets.ts";

const MANAGED = { origin: "https://api.example.com", app: "a1", workflow: "w1", version: "v1", runtime: "r1" };

test("curl of a private App sends the Access Key, as the shell has it", () => {
  expect(
    callSnippet("curl", { address: "https://support.example.com", isPrivate: true, input: { text: "Hello?" } }),
  ).toBe(
    [
      "curl -X POST https://support.example.com \\",
      '  -H "Content-Type: application/json" \\',
      '  -H "Authorization: Bearer $DYNAMIQ_ACCESS_KEY" \\',
      `  -d '{\n  "input": {\n    "text": "Hello?"\n  }\n}'`,
    ].join("\n"),
  );
});

test.each(LANGUAGES)("in %s a public App needs no key", (language) => {
  expect(callSnippet(language, { address: "https://a.example.com", isPrivate: false, input: {} })).not.toMatch(
    /Authorization|os\b/,
  );
});

test.each(LANGUAGES)("in %s the management API gets this App's ids and the Personal Access Token", (language) => {
  const history = historySnippet(language, MANAGED);
  expect(history).toContain("https://api.example.com/v1/apps/a1/deployments");
  expect(history).not.toContain("POST");
  const deploy = deploySnippet(language, MANAGED);
  for (const part of [
    "/v1/apps/a1/deploy",
    '"workflow_id": "w1"',
    '"workflow_version_id": "v1"',
    '"runtime_id": "r1"',
  ]) {
    expect(deploy).toContain(part);
  }
  for (const each of [history, deploy]) expect(each).toContain("DYNAMIQ_PERSONAL_ACCESS_TOKEN");
});

test("what the management API answers is taken out of its data, as the product's page does", () => {
  const history = historySnippet("Python", MANAGED);
  expect(history).toMatch(/for deployment in response\.json\(\)\["data"\]:\n {4}print\(deployment\)$/);
  expect(deploySnippet("Python", MANAGED)).toMatch(/print\(response\.json\(\)\["data"\]\)$/);
  for (const each of [historySnippet("JavaScript", MANAGED), deploySnippet("JavaScript", MANAGED)]) {
    expect(each).toMatch(/const \{ data \} = await response\.json\(\);\nconsole\.log\(data\);$/);
  }
  expect(callSnippet("Python", { address: "https://a.example.com", isPrivate: true, input: {} })).not.toContain(
    '"data"',
  );
});

test("an App that was never deployed has the names of what is to be filled in", () => {
  expect(deploySnippet("curl", { ...MANAGED, version: null })).toContain("<workflow-version-id>");
});

test("JavaScript is one that runs", () => {
  for (const snippet of [
    callSnippet("JavaScript", { address: "https://a.example.com", isPrivate: true, input: {} }),
    deploySnippet("JavaScript", MANAGED),
    historySnippet("JavaScript", MANAGED),
  ]) {
    expect(() => new Function(`return async () => { ${snippet} }`)).not.toThrow();
  }
});
