import { readFileSync } from "node:fs";
import ts from "typescript";
import { expect, it } from "vitest";

const MOST = 80;
const SOURCES = Object.keys(import.meta.glob(["../src/**/*.ts", "../src/**/*.tsx", "!**/*.test.ts", "!**/*.d.ts"]));

/** Lists the functions of a file that are longer than they may be, as `name: lines`. Biome's own rule leaves out most lines of JSX. */
function tooLong(path: string): string[] {
  const source = ts.createSourceFile(
    path,
    readFileSync(`${import.meta.dirname}/${path}`, "utf8"),
    ts.ScriptTarget.Latest,
    true,
  );
  const lineOf = (at: number) => source.getLineAndCharacterOfPosition(at).line;
  const found: string[] = [];
  const visit = (node: ts.Node) => {
    const lines = lineOf(node.getEnd()) - lineOf(node.getStart()) + 1;
    if (ts.isFunctionLike(node) && lines > MOST) found.push(`${path} ${node.name?.getText() ?? ""}: ${lines}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

it(`has no function and no component of more than ${MOST} lines`, () => {
  expect(SOURCES.length).toBeGreaterThan(100);
  expect(SOURCES.flatMap(tooLong)).toEqual([]);
});
