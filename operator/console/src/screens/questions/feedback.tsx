import { useId, useState } from "preact/hooks";
import {
  type Choices,
  type Chosen,
  feedback,
  isFree,
  lackOf,
  NOTHING_CHOSEN,
  withChoice,
} from "../../pure/questions.ts";
import type { AskedInParts } from "../../pure/shapes.ts";
import { Action } from "../../ui/action.tsx";
import { LinesField } from "../../ui/text-field.tsx";
import type { FormProps } from "./given.ts";
import { Verbatim } from "./verbatim.tsx";

/** Answers by a text, or by a choice for each question of several. */
export function FeedbackForm({ question, right, isSending, send }: FormProps) {
  const [text, write] = useState("");
  const [choices, choose] = useState<Choices>({});
  const { questions } = question;
  const lack = lackOf(question, text, choices);
  return (
    <form
      class="column"
      onSubmit={(event) => {
        event.preventDefault();
        if (!lack && right?.allowed !== false) send(feedback(question, text, choices));
      }}
    >
      {questions?.length ? (
        questions.map((each) => (
          <Part
            key={each.id}
            asked={each}
            chosen={choices[each.id] ?? NOTHING_CHOSEN}
            onChoose={(chosen) => choose({ ...choices, [each.id]: chosen })}
          />
        ))
      ) : (
        <LinesField label="Your answer" required value={text} onChange={write} />
      )}
      <div>
        <Action type="submit" kind="primary" right={right} why={lack} disabled={isSending}>
          Send the answer
        </Action>
      </div>
    </form>
  );
}

interface PartProps {
  asked: AskedInParts;
  chosen: Chosen;
  onChoose: (chosen: Chosen) => void;
}

/** One question: its options, and a text of one's own where it lets one. */
function Part({ asked, chosen, onChoose }: PartProps) {
  const group = useId();
  const input = { name: group, type: asked.multi_select ? ("checkbox" as const) : ("radio" as const) };
  const press = (option?: string) => onChoose(withChoice(asked, chosen, option));
  const own = chosen.own ?? (isFree(asked) ? "" : undefined);
  return (
    <fieldset class="choice">
      <legend>
        {asked.header && (
          <>
            <Verbatim text={asked.header} />:{" "}
          </>
        )}
        <Verbatim text={asked.question} />
      </legend>
      {asked.options?.map(({ label, description }) => (
        <label key={label}>
          <input {...input} checked={chosen.selected.includes(label)} onChange={() => press(label)} />
          <span>
            <Verbatim text={label} />
            {description && (
              <span class="small muted">
                {" "}
                <Verbatim text={description} />
              </span>
            )}
          </span>
        </label>
      ))}
      {asked.allow_custom_answer && !isFree(asked) && (
        <label>
          <input {...input} checked={own !== undefined} onChange={() => press()} /> Other
        </label>
      )}
      {own !== undefined && (
        <LinesField
          label="Your own answer"
          required
          value={own}
          onChange={(text) => onChoose({ ...chosen, own: text })}
        />
      )}
    </fieldset>
  );
}
