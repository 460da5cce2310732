import { describe, expect, it } from "vitest";
import { inWords, nextRun } from "./cron.ts";

describe("a schedule in words", () => {
  it.each([
    ["0 3 * * *", "Every day at 03:00"],
    ["0 9 * * 1-5", "Monday to Friday at 09:00"],
    ["30 8,17 * * mon", "Every Monday at 08:30 and 17:30"],
    ["0 0 * * 0,6", "Sunday and Saturday at 00:00"],
    ["*/15 * * * *", "Every 15 minutes"],
    ["* * * * *", "Every minute"],
    ["0 * * * *", "Every hour on the hour"],
    ["5,35 * * * *", "Every hour at minutes 5 and 35"],
    ["*/10 9-17 * * 1-5", "Monday to Friday every 10 minutes from 09:00 to 17:50"],
    ["0 9-17 * * *", "Every hour on the hour from 09:00 to 17:00"],
    ["0 */6 * * *", "Every day at 00:00, 06:00, 12:00 and 18:00"],
    ["*/30 */2 * * *", "Every 30 minutes of every 2nd hour"],
    ["0 6 1,15 * *", "On the 1st and 15th of the month at 06:00"],
    ["0 6 1-7 * *", "On days 1 to 7 of the month at 06:00"],
    ["0 0 1 jan,jul *", "On the 1st of the month at 00:00 in January and July"],
    ["0 12 * 6-8 *", "Every day at 12:00 from June to August"],
    ["0 6 13 * 5", "On the 13th of the month and on Friday at 06:00"],
    [
      "0 6 */2 * 5",
      "On the 1st, 3rd, 5th, 7th, 9th, 11th, 13th, 15th, 17th, 19th, 21st, 23rd, 25th, 27th, 29th and 31st of the month if it is Friday at 06:00",
    ],
  ])("%s is: %s", (text, said) => {
    expect(inWords(text)).toBe(said);
  });

  it.each([
    "",
    "0 3 * *",
    "60 3 * * *",
    "0 24 * * *",
    "0 3 0 * *",
    "0 3 * 13 *",
    "0 3 * * 7",
    "5-1 * * * *",
    "*/0 * * * *",
    "a b c d e",
  ])("%j is none", (text) => {
    expect(inWords(text)).toBeUndefined();
  });
});

describe("when a schedule is due next", () => {
  const at = (time: string) => Date.parse(time);
  const due = (text: string, zone: string, after: string) => {
    const found = nextRun(text, zone, at(after));
    return found === undefined ? undefined : new Date(found).toISOString();
  };

  it("is a time of the zone, later today or tomorrow", () => {
    expect(due("0 3 * * *", "UTC", "2026-11-26T02:59:59Z")).toBe("2026-11-26T03:00:00.000Z");
    expect(due("0 3 * * *", "UTC", "2026-11-26T03:00:00Z")).toBe("2026-11-27T03:00:00.000Z");
    expect(due("0 9 * * *", "Europe/Berlin", "2026-11-26T07:00:00Z")).toBe("2026-11-26T08:00:00.000Z");
    expect(due("0 9 * * *", "Asia/Kolkata", "2026-11-26T07:00:00Z")).toBe("2026-11-27T03:30:00.000Z");
  });

  it("passes over days that do not fit", () => {
    expect(due("0 9 * * 1-5", "UTC", "2026-11-27T10:00:00Z")).toBe("2026-11-30T09:00:00.000Z");
    expect(due("0 0 29 2 *", "UTC", "2026-11-26T00:00:00Z")).toBe("2028-02-29T00:00:00.000Z");
  });

  it("takes either day where both are given, and both where one begins with a star", () => {
    expect(due("0 6 13 * 5", "UTC", "2026-11-26T12:00:00Z")).toBe("2026-11-27T06:00:00.000Z");
    expect(due("0 6 */13 * 5", "UTC", "2026-11-26T12:00:00Z")).toBe("2026-11-27T06:00:00.000Z");
    expect(due("0 6 */13 * 4", "UTC", "2026-11-26T12:00:00Z")).toBe("2027-01-14T06:00:00.000Z");
  });

  it("leaves out the hour that a zone's clocks leave out, and knows the one that comes twice", () => {
    expect(due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z")).toBe("2026-03-30T00:30:00.000Z");
    expect(due("30 2 * * *", "Europe/Berlin", "2026-10-25T00:15:00Z")).toBe("2026-10-25T00:30:00.000Z");
    expect(due("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z")).toBe("2026-10-25T01:30:00.000Z");
  });

  it("is never, for a day that no year has, for no schedule and for no zone", () => {
    expect(due("0 0 31 2 *", "UTC", "2026-11-26T00:00:00Z")).toBeUndefined();
    expect(due("soon", "UTC", "2026-11-26T00:00:00Z")).toBeUndefined();
    expect(due("0 0 * * *", "Europe/Nowhere", "2026-11-26T00:00:00Z")).toBeUndefined();
  });
});
