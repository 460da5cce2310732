/** Lines for a shell. Pure; whatever a text has in it, it stays one argument. */

const PLAIN = /^[A-Za-z0-9_./@:+][A-Za-z0-9_./@:+%=,-]*$/;
const OPTION = /^--?[a-z][a-z-]*(=[a-z]+)?$/;
// What a terminal takes for a key, or does not show as it is: controls, and what turns or hides letters.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const EACH_HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}'\\]/gu;

/** A text as one argument of a shell: bash and zsh. */
export function quoted(text: string): string {
  if (PLAIN.test(text)) return text;
  if (HIDDEN.test(text)) return `$'${text.replace(EACH_HIDDEN, escaped)}'`;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function escaped(letter: string): string {
  if (letter === "'" || letter === "\\") return `\\${letter}`;
  if (letter === "\n") return "\\n";
  if (letter === "\t") return "\\t";
  const code = letter.codePointAt(0) as number;
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}

/** An option with its value. A value that begins with a dash would be read as an option: it stands in the same argument. */
export function option(name: string, value: string | number | null | undefined): string[] {
  if (value === undefined || value === null || value === "") return [];
  const text = String(value);
  return text.startsWith("-") ? [`${name}=${quoted(text)}`] : [name, quoted(text)];
}

/** A manifest for kubectl, from standard input. JSON has no line of its own that could end it. */
export function created(manifest: object): string {
  return `kubectl create -f - <<'EOF'\n${JSON.stringify(manifest, null, 2)}\nEOF`;
}

/** A line of arguments, options such as `-n` among them; what is undefined is left out. */
export function line(...words: (string | undefined)[]): string {
  return words
    .filter((word) => word !== undefined)
    .map((word) => (OPTION.test(word) ? word : quoted(word)))
    .join(" ");
}
