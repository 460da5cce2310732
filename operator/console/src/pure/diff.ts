/** Reads a unified diff, and makes what a text hides visible. Pure. */

export interface DiffLine {
  /** `place`: where a part of the files begins. `note`: what is neither a line of a file nor a place. */
  kind: "added" | "removed" | "same" | "place" | "note";
  /** Number of the line in the file before, and after; none where it is not in it. */
  before?: number;
  after?: number;
  text: string;
  /** Which part of the text differs from the line that it stands for: from, and until before. None: all of it. */
  differs?: [number, number];
}

export interface Diff {
  /** What the two sides are called; empty where the diff does not say. */
  from: string;
  to: string;
  lines: DiffLine[];
  added: number;
  removed: number;
}

const PLACE = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** The lines of a unified diff. Inside a hunk its counts decide, so that a line `-- x` which was removed is no header. */
export function readDiff(unified: string): Diff {
  const diff: Diff = { from: "", to: "", lines: [], added: 0, removed: 0 };
  let before = 0;
  let after = 0;
  let beforeLeft = 0;
  let afterLeft = 0;
  for (const line of unified === "" ? [] : unified.split("\n")) {
    const sign = line[0];
    const text = line.slice(1);
    if (sign === "-" && beforeLeft > 0) {
      beforeLeft -= 1;
      diff.removed += 1;
      diff.lines.push({ kind: "removed", before: before++, text });
    } else if (sign === "+" && afterLeft > 0) {
      afterLeft -= 1;
      diff.added += 1;
      diff.lines.push({ kind: "added", after: after++, text });
    } else if ((sign === " " || line === "") && beforeLeft > 0 && afterLeft > 0) {
      beforeLeft -= 1;
      afterLeft -= 1;
      diff.lines.push({ kind: "same", before: before++, after: after++, text });
    } else if (line.startsWith("--- ")) diff.from = line.slice(4);
    else if (line.startsWith("+++ ")) diff.to = line.slice(4);
    else {
      const place = PLACE.exec(line);
      if (place) {
        before = Number(place[1]);
        beforeLeft = Number(place[2] ?? 1);
        after = Number(place[3]);
        afterLeft = Number(place[4] ?? 1);
      }
      if (line !== "") diff.lines.push({ kind: place ? "place" : "note", text: line });
    }
  }
  pair(diff.lines);
  return diff;
}

/** Marks what differs in lines that stand for one another: of a run that was removed and one in its place, the first with the first. */
function pair(lines: DiffLine[]): void {
  let at = 0;
  while (at < lines.length) {
    const removed = runOf(lines, at, "removed");
    const added = runOf(lines, at + removed, "added");
    for (let each = 0; each < Math.min(removed, added); each += 1) {
      mark(lines[at + each] as DiffLine, lines[at + removed + each] as DiffLine, removed === added ? 1 / 3 : 1 / 2);
    }
    at += Math.max(removed + added, 1);
  }
}

function runOf(lines: DiffLine[], from: number, kind: DiffLine["kind"]): number {
  let end = from;
  while (lines[end]?.kind === kind) end += 1;
  return end - from;
}

function mark(old: DiffLine, fresh: DiffLine, leastSame: number): void {
  const least = Math.min(old.text.length, fresh.text.length);
  let head = 0;
  while (head < least && old.text[head] === fresh.text[head]) head += 1;
  if (isInside(old.text, head) || isInside(fresh.text, head)) head -= 1;
  let tail = 0;
  while (tail < least - head && old.text.at(-1 - tail) === fresh.text.at(-1 - tail)) tail += 1;
  if (isInside(old.text, old.text.length - tail) || isInside(fresh.text, fresh.text.length - tail)) tail -= 1;
  // Where hardly anything is the same, a mark on nearly all of it says nothing.
  if (head + tail < least * leastSame) return;
  old.differs = [head, old.text.length - tail];
  fresh.differs = [head, fresh.text.length - tail];
}

/** Whether a place of a text is inside a character that is two units long. */
function isInside(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return at > 0 && unit >= 0xdc00 && unit <= 0xdfff;
}

export interface Piece {
  text: string;
  /** `hidden`: a character that one would not see, as its code, such as `U+202E`; `end`: blanks at the end of a line. */
  kind?: "hidden" | "end" | "left-out";
  differs?: boolean;
  /** What a hidden character does, where it is known. */
  name?: string;
}

// Whatever has no shape of its own: controls, formats (bidi, zero width, tags), odd blanks, fillers, halves of a character.
const HIDDEN = /(?![ \t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
const AFTER_PICTURE = /\p{Extended_Pictographic}$/u;
const NAMES: Record<number, string> = {
  0: "null",
  13: "carriage return",
  27: "escape",
  160: "no-break space",
  173: "soft hyphen",
  1564: "Arabic letter mark",
  8203: "zero width space",
  8204: "zero width non-joiner",
  8205: "zero width joiner",
  8206: "left-to-right mark",
  8207: "right-to-left mark",
  8234: "left-to-right embedding",
  8235: "right-to-left embedding",
  8236: "end of a direction",
  8237: "left-to-right override",
  8238: "right-to-left override",
  8288: "word joiner",
  8294: "left-to-right isolate",
  8295: "right-to-left isolate",
  8296: "first strong isolate",
  8297: "end of an isolate",
  65279: "zero width no-break space",
};

/** A text in pieces, each hidden character by itself as its code. */
export function visible(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const code = found[0].codePointAt(0) as number;
    // The selector that makes a picture a coloured one belongs to it.
    if (code === 0xfe0f && AFTER_PICTURE.test(text.slice(Math.max(found.index - 2, 0), found.index))) continue;
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) });
    pieces.push({ text: codeOf(code), kind: "hidden", name: nameOf(code) });
    from = found.index + found[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

function codeOf(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

function nameOf(code: number): string {
  if (code >= 0xe0020 && code <= 0xe007e) return `hidden letter ${String.fromCharCode(code - 0xe0000)}`;
  return NAMES[code] ?? (code < 0xa0 ? "control character" : "character without a shape");
}

/** How many characters of a text are hidden. */
export function countHidden(text: string): number {
  return visible(text).filter((piece) => piece.kind === "hidden").length;
}

/** Letters around what differs that are told of a long line. */
const AROUND = 240;

/** A line of a diff in pieces: what differs marked, blanks at the end told, and of a long line, where `most` is given, no more than what is around that. */
export function piecesOf(line: DiffLine, most = Number.POSITIVE_INFINITY): Piece[] {
  const { text } = line;
  const [from, until] = line.differs ?? [0, 0];
  let begin = 0;
  let end = text.length;
  if (end > most) {
    begin = Math.max(0, Math.min(from - AROUND, end - most));
    end = Math.min(end, begin + most);
    if (isInside(text, begin)) begin -= 1;
    if (isInside(text, end)) end -= 1;
  }
  const cut = (at: number) => Math.min(Math.max(at, begin), end);
  const trailing = line.kind === "same" ? text.length : lengthWithoutEnd(text);
  const edges = [begin, cut(from), cut(until), cut(trailing), end].sort((a, b) => a - b);
  const pieces: Piece[] = [];
  if (begin > 0) pieces.push(leftOut(begin));
  for (let each = 0; each + 1 < edges.length; each += 1) {
    const [left, right] = [edges[each] as number, edges[each + 1] as number];
    if (left === right) continue;
    const differs = left >= from && right <= until ? { differs: true } : {};
    const part = text.slice(left, right);
    if (left >= trailing) {
      pieces.push({ text: part.replaceAll(" ", "·").replaceAll("\t", "⇥"), kind: "end", ...differs });
    } else for (const piece of visible(part)) pieces.push({ ...piece, ...differs });
  }
  if (end < text.length) pieces.push(leftOut(text.length - end));
  return pieces;
}

function lengthWithoutEnd(text: string): number {
  let length = text.length;
  while (text[length - 1] === " " || text[length - 1] === "\t") length -= 1;
  return length;
}

function leftOut(count: number): Piece {
  return { text: ` … ${count.toLocaleString("en")} characters … `, kind: "left-out" };
}
