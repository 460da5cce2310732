/** The URL by which an App is called: its hostname by https, or what stands there where it is a URL already. None: it has no hostname. */
export function addressOf(hostname: string): string | undefined {
  if (!hostname) return undefined;
  return /^https?:\/\//.test(hostname) ? hostname : `https://${hostname}`;
}
