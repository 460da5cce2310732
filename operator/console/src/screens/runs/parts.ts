/** What most visits never need: see ../background.ts. */
import { later } from "../../ui/later.tsx";

export const background = later(() => import("../background.ts"));

export const Callbacks = background.part("Callbacks");
export const OpenRun = background.part("OpenRun");
export const QuestionList = background.part("QuestionList");
export const ReportDialog = background.part("ReportDialog");
