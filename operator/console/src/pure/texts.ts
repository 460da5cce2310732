/** Texts of forms: what is wrong with them, in the words of what to do, and how others' sentences begin. Pure. */

export const NAME_MOST = 128;
export const DESCRIPTION_MOST = 512;
export const MESSAGE_MOST = 1024;
export const HOSTNAME_MOST = 253;

// As the API has it, where `\w` is a letter, a digit or `_` of any script.
const NAME = /^[\p{L}\p{N}_ ./'-]*$/u;
const LETTER = /[\p{L}\p{N}]/u;
const HOSTNAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const ADDRESS = /^[0-9.]+$/;
const LABEL_MOST = 63;

export function nameWrong(name: string): string {
  if (name.trim() === "") return "Give it a name";
  if (!NAME.test(name)) return "Letters, digits, spaces, and . / _ ' -";
  if (!LETTER.test(name)) return "At least one letter or digit";
  return tooLong(name, NAME_MOST);
}

export function tooLong(text: string, most: number): string {
  const length = [...text].length;
  return length > most ? `At most ${most.toLocaleString("en")} characters: ${length - most} too many` : "";
}

export function hostnameWrong(hostname: string): string {
  if (hostname === "") return "";
  if (hostname.length > HOSTNAME_MOST) return tooLong(hostname, HOSTNAME_MOST);
  if (!HOSTNAME.test(hostname)) return "Lower-case letters, digits and '-' between dots, such as chat.example.com";
  if (ADDRESS.test(hostname)) return "A DNS name such as chat.example.com, not an address";
  if (hostname.split(".").some((label) => label.length > LABEL_MOST)) return "At most 63 characters between two dots";
  return "";
}

/** A message of the cluster without the dot at its end, where another sentence follows. */
export function withoutDot(text: string): string {
  return text.replace(/[.\s]+$/, "");
}

/** A sentence of the API as one by itself: it begins with a capital letter, unless it begins with the name of a version. */
export function sentence(text: string): string {
  return /^v\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** `1 row`, `1,204 rows`: so many of what has an s in its plural. */
export function plural(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
