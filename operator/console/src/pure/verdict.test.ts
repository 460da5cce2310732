import { expect, test } from "vitest";
import { verdictOf } from "./verdict.ts";

const FITS = { rows: 412, fits: true, misfit_count: 0, expected: null, settings: null, says: "412 rows fit" };
const MISSING = { digest: "sha256:0", deployment_id: null, sequence: null, found: false };

test("a history whose rows fit is intact", () => {
  expect(verdictOf(FITS)).toMatchObject({ isIntact: true, expected: undefined });
  expect(verdictOf(FITS).says).toContain("412 rows fit");
});

test("a digest that no row has does not make an intact history a forged one", () => {
  const found = verdictOf({ ...FITS, fits: false, expected: MISSING, says: "row (none) does not fit" });
  expect(found.isIntact).toBe(true);
  expect(found.says).toContain("412 rows fit");
  expect(found.expected?.isFound).toBe(false);
});

test("a row that does not fit is reported, whatever was expected", () => {
  const misfit = { ...FITS, fits: false, misfit_count: 1, says: "row a does not fit: it was changed" };
  expect(verdictOf(misfit)).toEqual({ isIntact: false, says: misfit.says, expected: undefined });
  expect(
    verdictOf({ ...misfit, expected: { ...MISSING, deployment_id: "a", found: true, sequence: 3 } }),
  ).toMatchObject({
    isIntact: false,
    expected: { isFound: true, says: "#3 has the expected digest." },
  });
});

const SETTINGS = {
  records: 2,
  fits: true,
  newest_digest: null,
  misfit_count: 0,
  misfits: [],
  says: "2 records of its settings fit",
};

test("records of settings are shown with the rows", () => {
  expect(verdictOf({ ...FITS, settings: SETTINGS }).says).toContain(
    "412 rows fit and 2 records of its settings fit, nothing",
  );
  expect(verdictOf({ ...FITS, settings: { ...SETTINGS, records: 0 } }).says).toContain("412 rows fit, nothing");
  const found = { ...FITS, settings: SETTINGS, expected: { ...MISSING, found: true } };
  expect(verdictOf(found).expected?.says).toBe("A record of its settings has the expected digest.");
});

test("a record that does not fit is reported, also if an expected digest is missing", () => {
  const settings = { ...SETTINGS, fits: false, misfit_count: 1, says: "AppChange a does not fit: it was changed" };
  const found = { ...FITS, fits: false, settings, says: settings.says };
  expect(verdictOf(found)).toMatchObject({ isIntact: false, says: settings.says });
  expect(verdictOf({ ...found, expected: MISSING }).isIntact).toBe(false);
});
