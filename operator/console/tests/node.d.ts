/** What tests use of Node: a real shell reads the lines that dialogs offer. */
declare module "node:child_process" {
  export function execFileSync(file: string, given: string[], options: { encoding: "utf8" }): string;
}
