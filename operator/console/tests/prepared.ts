/** Prints the screens, and the usual answers to what they ask, as JSON: tests in a browser draw the same that tests in a DOM show. */
import * as cast from "./cast.ts";
import { FORMS, SCREENS } from "./screens.ts";

const answers = { ...cast.usual(), ...cast.answer(cast.READ_ROWS, cast.pageOfRows({ page_size: "50" })) };
console.log(JSON.stringify({ answers, screens: [...SCREENS, ...FORMS] }));
