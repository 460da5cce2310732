import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { approval, asText, type Filled, hiddenIn, inSight, paramsOf, wrongParams } from "../../pure/questions.ts";
import { Action } from "../../ui/action.tsx";
import { LinesField } from "../../ui/text-field.tsx";
import type { FormProps } from "./given.ts";
import { Verbatim } from "./verbatim.tsx";

/** Approves or denies. It has no button that Enter presses from a field. */
export function ApprovalForm({ question, right, isSending, send }: FormProps) {
  const [filled, fill] = useState<Filled>({});
  const [reason, say] = useState("");
  const { editable, fixed } = paramsOf(question);
  const wrong = wrongParams(question, filled);
  const isWrong = Object.keys(wrong).length > 0;
  const give = (isApproved: boolean) => send(approval(question, isApproved, reason, filled));
  return (
    <>
      {question.params_omitted && <p class="notice warn">Its params are too large to be shown.</p>}
      {fixed.length > 0 && (
        <dl class="facts">
          {fixed.map(([name, value]) => (
            <Fragment key={name}>
              <dt>
                <Verbatim text={name} />
              </dt>
              <dd>
                <Verbatim text={asText(value)} />
              </dd>
            </Fragment>
          ))}
        </dl>
      )}
      {editable.map(([name, value]) => {
        const text = filled[name] ?? asText(value);
        return (
          <LinesField
            key={name}
            label={inSight(name)}
            hint={hiddenIn(text)}
            wrong={wrong[name]}
            value={text}
            onChange={(next) => fill({ ...filled, [name]: next })}
          />
        );
      })}
      <LinesField label="Reason (optional)" value={reason} onChange={say} />
      <div class="buttons">
        <Action right={right} why={isWrong && "fix the marked fields"} disabled={isSending} onClick={() => give(true)}>
          Approve
        </Action>
        <Action kind="danger" right={right} disabled={isSending} onClick={() => give(false)}>
          Deny
        </Action>
      </div>
    </>
  );
}
