/** What is shown of background runs where there are some: in a file of its own, loaded when one is looked at, or asks a person. */
export { QuestionList } from "./questions/list.tsx";
export { OpenRun } from "./runs/open-run.tsx";
