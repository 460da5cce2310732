/** What the sign-in screen does with its address. Pure. */

const HOME = "/console/";

/** Only a path of the console is a target, as a browser reads it: a link must not lead a signed-in reader elsewhere, by `..` or otherwise. */
export function targetOf(given: string | undefined): string {
  if (!given?.startsWith(HOME)) return HOME;
  const { pathname, search, hash } = new URL(given, "https://console.invalid");
  const isOurs = pathname.startsWith(HOME) && !pathname.includes("//") && !pathname.startsWith("/console/sign-in");
  return isOurs ? `${pathname}${search}${hash}` : HOME;
}

const ERRORS: Record<string, string> = {
  state: "This sign-in was begun in another window, or long ago. Try again.",
  nonce: "The provider's answer belongs to another sign-in. Try again.",
  refused: "The provider did not let you in, or you cancelled it there.",
  provider: "The provider did not answer as it should. Try again in a moment; a token works without it.",
  expired: "The sign-in took longer than ten minutes. Try again.",
  cluster: "The cluster could not be asked who you are. Try again in a moment.",
  token: "The cluster does not take the token of this provider: its API server has to know the provider too.",
};

/** Why a token was not taken, in the words of whoever pastes one: the API speaks to those who send headers. */
export function refusalOf({ status, message }: { status: number; message: string }): string {
  if (status !== 401) return message;
  return "The cluster does not take this token: it is not one of its own, or it has expired. Get a new one, and paste all of it.";
}

/** Why a sign-in with OIDC came back, in words; undefined where it did not. */
export function errorOf(code: string | undefined): string | undefined {
  if (!code) return undefined;
  return ERRORS[code] ?? "The sign-in did not work. Try again.";
}
