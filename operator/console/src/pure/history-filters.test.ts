import { describe, expect, it } from "vitest";
import { asQuery, asSearch, inWords, isFiltered, NO_FILTERS, readFilters } from "./history-filters.ts";

describe("filters in the address", () => {
  it("come back as they were", () => {
    const filters = readFilters({
      status: "Failed,Live",
      created_by: "système:é & co",
      q: "a+b c",
      since: "2026-11-01T00:00:00Z",
    });
    expect(readFilters(Object.fromEntries(new URLSearchParams(asSearch(filters))))).toEqual(filters);
    expect(filters.status).toEqual(["Live", "Failed"]);
  });

  it("leave out what the API would refuse, and what filters nothing", () => {
    const filters = readFilters({
      status: "Nonsense,",
      since: "yesterday",
      until: "2026-13-45",
      q: "x".repeat(300),
      verify: "1",
    });
    expect(filters).toEqual({ ...NO_FILTERS, q: "x".repeat(100) });
    expect(asQuery(filters)).toEqual({ q: "x".repeat(100) });
    expect(asSearch(NO_FILTERS)).toBe("");
    expect(isFiltered(NO_FILTERS)).toBe(false);
    expect(isFiltered(filters)).toBe(true);
  });

  it("name one moment in every zone", () => {
    expect(readFilters({ since: "2026-11-01T00:00:00+01:00" }).since).toBe("2026-10-31T23:00:00Z");
  });

  it("are shown in words", () => {
    const filters = { ...NO_FILTERS, status: ["Failed", "Pending"], q: "fix", until: "2026-11-01T00:00:00Z" };
    expect(inWords(filters, (moment) => moment.slice(0, 10))).toBe(
      "status Failed or Pending · before 2026-11-01 · with the letters “fix”",
    );
    expect(inWords(NO_FILTERS, String)).toBe("");
  });
});
