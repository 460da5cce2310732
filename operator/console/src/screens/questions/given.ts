import type { Question, RunInput } from "../../pure/shapes.ts";
import type { Right } from "../../ui/action.tsx";

/** What a form for an answer is given. */
export interface FormProps {
  question: Question;
  right?: Right;
  isSending: boolean;
  send: (data: RunInput["data"]) => void;
}
