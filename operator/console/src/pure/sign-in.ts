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
  state: "This sign-in was started in another window, or long ago. Try again.",
  nonce: "The provider's answer belongs to another sign-in. Try again.",
  refused: "The provider did not let you in, or you cancelled it there.",
  provider: "The provider's answer is invalid. Try again in a moment; a token works without it.",
  expired: "The sign-in took longer than ten minutes. Try again.",
  cluster: "The cluster could not be asked who you are. Try again in a moment.",
  token: "The cluster does not accept this provider's token: its API server has to know the provider too.",
};

/** Why a token was not taken, in the words of whoever pastes one: the API speaks to those who send headers. */
export function refusalOf({ status, message }: { status: number; message: string }): string {
  if (status !== 401) return message;
  return "Get a new token, and paste all of it: this one is not of this cluster, or has expired.";
}

/** Why a sign-in with OIDC came back, in words; undefined where it did not. */
export function errorOf(code: string | undefined): string | undefined {
  if (!code) return undefined;
  return ERRORS[code] ?? "The sign-in did not work. Try again.";
}
