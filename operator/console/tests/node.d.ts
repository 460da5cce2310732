/** What tests use of Node: a real shell reads the lines that dialogs offer, and answers are examples of the API's own document. */
declare module "node:child_process" {
  export function execFileSync(file: string, given: string[], options: { encoding: "utf8" }): string;
}
declare module "node:fs" {
  export function readFileSync(file: string, encoding: "utf8"): string;
}
interface ImportMeta {
  dirname: string;
}
interface RegExpConstructor {
  escape(text: string): string;
}
