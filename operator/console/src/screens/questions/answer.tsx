import { answerRun } from "../../api/questions.ts";
import { undoneOf } from "../../pure/questions.ts";
import { shortId } from "../../pure/run-words.ts";
import type { App, Question, RunInput } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { refresh } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import type { Right } from "../../ui/action.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";
import { ApprovalForm } from "./approval.tsx";
import { FeedbackForm } from "./feedback.tsx";

interface Props {
  app: App;
  question: Question;
  right?: Right;
  /** Somebody else answered it, or its run ended. */
  isGone: boolean;
  onDone: () => void;
}

/** The form that a question makes, and what became of its answer. */
export function Answer({ app, question, right, isGone, onDone }: Props) {
  const { run_id, type } = question;
  const write = useWrite();
  const send = async (data: RunInput["data"]) => {
    const isTaken = await write.run(async () => {
      const { questions_open: more } = await answerRun(app.id, run_id, { type, data });
      const next = more > 0 ? `still waits for ${plural(more, "answer")}` : "goes on";
      toast(`Your answer is taken: run ${shortId(run_id)} ${next}`);
    });
    for (const known of [`questions ${app.id}`, `open-runs ${app.id}`, `open-run ${run_id}`]) refresh(known);
    if (isTaken) onDone();
  };
  const form = { question, right, isSending: write.isBusy, send: (data: RunInput["data"]) => void send(data) };
  const code = write.problem?.code;
  return (
    <>
      <ProblemNotice problem={write.problem} undone={undoneOf(code)} />
      {isGone && !code && !write.isBusy && (
        <p class="notice warn" role="alert">
          This question is no longer open: somebody else answered it, or its run ended.
        </p>
      )}
      {type === "approval_request" ? <ApprovalForm {...form} /> : <FeedbackForm {...form} />}
    </>
  );
}
