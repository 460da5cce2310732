/** Cron expressions of five fields as Kubernetes reads them (robfig/cron's ParseStandard): said in words, and when they are due next. Pure. */
import { sentence } from "./texts.ts";

const named = (how: Intl.DateTimeFormatOptions, count: number, at: (each: number) => Date) =>
  Array.from({ length: count }, (_, each) => at(each).toLocaleString("en", how));
const MONTHS = named({ month: "long" }, 12, (month) => new Date(2023, month));
// The first of January 2023 was a Sunday.
const DAYS = named({ weekday: "long" }, 7, (day) => new Date(2023, 0, 1 + day));
const TIMES_TOLD = 6;
const DAY = 86_400_000;
const DAYS_LOOKED_AT = 366 * 9;

interface Schedule {
  minutes: number[];
  hours: number[];
  days: number[];
  months: number[];
  weekdays: number[];
  /** Where a field begins with `*`, a day has to fit both; else either of them is enough. */
  eitherDay: boolean;
  /** `*` or `?` alone. */
  everyDay: boolean;
  everyWeekday: boolean;
}

const FIELDS: [least: number, most: number, names: string[]][] = [
  [0, 59, []],
  [0, 23, []],
  [1, 31, []],
  [1, 12, ["", ...MONTHS]],
  [0, 6, DAYS],
];

/** The schedule in words, such as `Monday to Friday at 09:00`; undefined for what is no cron expression. */
export function inWords(text: string): string | undefined {
  const found = parsed(text);
  if (!found) return undefined;
  const said = [daysInWords(found), timesInWords(found), monthsInWords(found)].filter(Boolean).join(" ");
  return sentence(said);
}

/** When a schedule is due next after `after`, both in milliseconds since 1970; undefined where it never is, or says nothing. `zone`: an IANA name. */
export function nextRun(text: string, zone: string, after: number): number | undefined {
  const found = parsed(text);
  const clock = clockOf(zone);
  if (!found || !clock) return undefined;
  const today = Math.floor(clock(after) / DAY) * DAY;
  for (let day = 0; day < DAYS_LOOKED_AT; day += 1) {
    const begins = today + day * DAY;
    if (!isDue(found, new Date(begins))) continue;
    for (const hour of found.hours) {
      for (const minute of found.minutes) {
        const due = instantsOf(begins + (hour * 60 + minute) * 60_000, clock).find((each) => each > after);
        if (due !== undefined) return due;
      }
    }
  }
  return undefined;
}

function parsed(text: string): Schedule | undefined {
  const parts = text.trim().split(/ +/);
  if (parts.length !== FIELDS.length) return undefined;
  const values = parts.map((part, at) => valuesOf(part, ...(FIELDS[at] as (typeof FIELDS)[number])));
  if (values.some((each) => each === undefined)) return undefined;
  const [minutes, hours, days, months, weekdays] = values as [number[], number[], number[], number[], number[]];
  const isStar = (at: number) => /^[*?]/.test(parts[at] as string);
  return {
    minutes,
    hours,
    days,
    months,
    weekdays,
    eitherDay: !isStar(2) && !isStar(4),
    everyDay: days.length === 31,
    everyWeekday: weekdays.length === 7,
  };
}

function valuesOf(text: string, least: number, most: number, names: string[]): number[] | undefined {
  const found = new Set<number>();
  const numberOf = (part: string): number => {
    if (/^\d{1,4}$/.test(part)) return Number(part);
    return part.length === 3 ? names.findIndex((name) => name.slice(0, 3).toLowerCase() === part.toLowerCase()) : -1;
  };
  for (const part of text.split(",")) {
    const [, span, step] = /^([^/]+)(?:\/(\d{1,4}))?$/.exec(part) ?? [];
    if (span === undefined || step === "0") return undefined;
    const [from, to, more] = span.split("-") as [string, string?, string?];
    const isEvery = span === "*" || span === "?";
    const begin = isEvery ? least : numberOf(from);
    const end = isEvery ? most : to !== undefined ? numberOf(to) : step ? most : begin;
    if (more !== undefined || begin < least || end > most || begin > end) return undefined;
    for (let value = begin; value <= end; value += Number(step ?? 1)) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}

function timesInWords({ minutes, hours }: Schedule): string {
  if (minutes.length * hours.length <= TIMES_TOLD) {
    return `at ${listed(hours.flatMap((hour) => minutes.map((minute) => clockTime(hour, minute))))}`;
  }
  const every = stepOf(minutes, 60);
  const when =
    every === 1
      ? "every minute"
      : every
        ? `every ${every} minutes`
        : minutes.length === 1 && minutes[0] === 0
          ? "on the hour"
          : `at ${minutes.length === 1 ? "minute" : "minutes"} ${listed(minutes.map(String))}`;
  if (hours.length === 24) return every ? when : `every hour ${when}`;
  const step = stepOf(hours, 24);
  if (step) return `${when} of every ${ordinal(step)} hour`;
  const span = isSpan(hours)
    ? `from ${clockTime(hours[0] as number, 0)} to ${clockTime(hours.at(-1) as number, minutes.at(-1) as number)}`
    : `in the hours ${listed(hours.map(String))}`;
  return every ? `${when} ${span}` : `every hour ${when} ${span}`;
}

function daysInWords(schedule: Schedule): string {
  const { days, weekdays, everyDay, everyWeekday, eitherDay, minutes, hours } = schedule;
  const isWithinHours = minutes.length * hours.length > TIMES_TOLD;
  if (everyDay && everyWeekday) return isWithinHours ? "" : "every day";
  const ofWeek =
    isSpan(weekdays) && weekdays.length > 2
      ? spanned(weekdays, DAYS)
      : listed(weekdays.map((day) => DAYS[day] as string));
  const ofMonth = `on ${isSpan(days) && days.length > 2 ? `days ${days[0]} to ${days.at(-1)}` : `the ${listed(days.map(ordinal))}`} of the month`;
  if (everyDay) return weekdays.length === 1 ? `every ${ofWeek}` : ofWeek;
  if (everyWeekday) return ofMonth;
  return `${ofMonth} ${eitherDay ? "and on" : "if it is"} ${ofWeek}`;
}

function monthsInWords({ months }: Schedule): string {
  if (months.length === 12) return "";
  const names = ["", ...MONTHS];
  return isSpan(months) && months.length > 2
    ? `from ${spanned(months, names)}`
    : `in ${listed(months.map((month) => names[month] as string))}`;
}

function isDue({ days, months, weekdays, eitherDay }: Schedule, day: Date): boolean {
  if (!months.includes(day.getUTCMonth() + 1)) return false;
  const isDay = days.includes(day.getUTCDate());
  const isWeekday = weekdays.includes(day.getUTCDay());
  return eitherDay ? isDay || isWeekday : isDay && isWeekday;
}

type Clock = (instant: number) => number;

/** What the clocks of a zone show at an instant, as if it were UTC; undefined where there is no such zone. */
function clockOf(zone: string): Clock | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
  } catch {
    return undefined;
  }
  return (instant) => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute);
  };
}

/** The instants at which the clocks show a time: two in the hour that comes twice, none in the one that is left out. */
function instantsOf(shown: number, clock: Clock): number[] {
  const around = [-DAY, DAY].map((away) => shown - (clock(shown + away) - (shown + away)));
  return [...new Set(around)].filter((instant) => clock(instant) === shown).sort((a, b) => a - b);
}

/** The step of values that begin at 0 and go on to the end, such as 15 of 0, 15, 30 and 45; 0 for others. */
function stepOf(values: number[], size: number): number {
  const step = (values[1] ?? 0) - (values[0] ?? 0);
  const isStep = step > 0 && values[0] === 0 && values.every((value, at) => value === at * step);
  return isStep && values.length === Math.ceil(size / step) && size % step === 0 ? step : 0;
}

function isSpan(values: number[]): boolean {
  return values.every((value, at) => value === (values[0] as number) + at);
}

function spanned(values: number[], names: string[]): string {
  return `${names[values[0] as number]} to ${names[values.at(-1) as number]}`;
}

function listed(words: string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function clockTime(hour: number, minute: number): string {
  return `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
}

function ordinal(value: number): string {
  const ending = value % 100 > 10 && value % 100 < 14 ? "th" : (["th", "st", "nd", "rd"][value % 10] ?? "th");
  return `${value}${ending}`;
}
