/** Times in words, in the reader's language of the console (English) and in the reader's zone. Pure: the present is given. */

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "long" });

/** `3 minutes ago`, `in 2 days`, `just now`. `now`: milliseconds since 1970. What `isPast` is never ahead: the cluster's clock may be. */
export function relative(time: string, now: number, isPast = false): string {
  const ahead = (Date.parse(time) - now) / 1000;
  const seconds = isPast ? Math.min(ahead, 0) : ahead;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return RELATIVE.format(Math.trunc(seconds / size), unit);
  }
  return seconds > 1 ? "in a moment" : "just now";
}

/** `26 November 2026, 18:25:07 GMT+1`. `zone`: an IANA name; the reader's own where none is given. */
export function absolute(time: string, zone?: string): string {
  return new Intl.DateTimeFormat("en-GB", {
    dateStyle: "long",
    timeStyle: "long",
    timeZone: zone,
  })
    .format(new Date(time))
    .replace(" at ", ", ");
}

/** `26 Nov 2026, 18:25:07`: for columns. */
export function moment(time: string, zone?: string): string {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: zone }).format(
    new Date(time),
  );
}

/** `8 s`, `2 min 5 s`, `1 h 3 min`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
