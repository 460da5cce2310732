import { useState } from "preact/hooks";
import { previewWaiting, readApprovals, say } from "../../api/guards.ts";
import { wordLine } from "../../pure/commands.ts";
import { approvalsOf, approversOf, letsGoOn, RIGHTS, waitsOf, wordsOn } from "../../pure/guards.ts";
import { titleOf } from "../../pure/row-words.ts";
import type { App, Approval, OneDeployment, Purpose, WaitingPreview, Word } from "../../pure/shapes.ts";
import { MESSAGE_MOST, tooLong } from "../../pure/texts.ts";
import { useDraft } from "../../state/draft.ts";
import { type Leaving, useLeaving } from "../../state/leaving.ts";
import { usePreview } from "../../state/preview.ts";
import { refresh, useQuery } from "../../state/query.ts";
import { useRow } from "../../state/row.ts";
import { type Sending, useSending } from "../../state/sending.ts";
import { user } from "../../state/session.ts";
import { Action, SENDING } from "../../ui/action.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Fact } from "../../ui/fact.tsx";
import { useKeptFocus } from "../../ui/kept-focus.ts";
import { Person } from "../../ui/person.tsx";
import { PreviewView } from "../../ui/preview.tsx";
import { Said } from "../../ui/said.tsx";
import { Empty, Loaded } from "../../ui/states.tsx";
import { Moment, Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";
import { ActingForm, Held, Terminal } from "../deploy/acting.tsx";
import { MessageField } from "../deploy/fields.tsx";
import { waitsAfter, waitsForPreview } from "../deploy/outcome.tsx";
import "../../styles/deploying.css";
import { useRights } from "../../state/rights.ts";

/** A row that waits: what its author asked for, what it would do now, and the word of whoever may say one. */
export function ReviewDialog({ app, rowId }: { app: App; rowId: string }) {
  const [message, type] = useDraft(`review ${rowId}`, "");
  const leaving = useLeaving(message !== "", `/console/apps/${app.id}/history${location.search}`);
  const row = useRow(app.id, rowId);
  const found = row.data.value;
  useKeptFocus(() => document.querySelector<HTMLElement>("dialog .empty .button"));
  return (
    <Dialog title={found ? `Review ${titleOf(found)}` : "Review"} onClose={leaving.close}>
      <Loaded query={row} lines={8}>
        {(whole) =>
          waitsOf(whole) ? (
            <ReviewForm {...{ app, row: whole, message, type, leaving }} />
          ) : (
            <WaitsNoMore app={app} row={whole} />
          )
        }
      </Loaded>
    </Dialog>
  );
}

/** Somebody was faster, or time was. */
function WaitsNoMore({ app, row }: { app: App; row: OneDeployment }) {
  return (
    <Empty title={`${titleOf(row)} waits for nothing`}>
      <p class="muted break">
        <Said text={row.reason ?? `Its status is ${row.status}.`} />
      </p>
      <Action href={`/console/apps/${app.id}/rollouts/${row.id}`}>Look at the rollout</Action>
    </Empty>
  );
}

interface FormProps {
  app: App;
  row: OneDeployment;
  message: string;
  type: (message: string) => void;
  leaving: Leaving;
}

/** Says a word on the row, and leads to what comes of it. */
function useSaying(app: App, row: OneDeployment, leaving: Leaving): Sending<Word> {
  return useSending<Word, { says: string[]; warnings: string[] }>(
    (word, key) => say(app.id, row.id, word, key),
    ({ says, warnings }, isHere, { purpose }) => {
      toast(<Said text={[...says, ...warnings].join(". ")} />, warnings.length > 0 ? "bad" : "good");
      refresh();
      if (!isHere) return;
      if (purpose === "Approve" || purpose === "Resume") leaving.goOn(`/console/apps/${app.id}/rollouts/${row.id}`);
      else leaving.leave();
    },
  );
}

function ReviewForm({ app, row, message, type, leaving }: FormProps) {
  const waits = row.waits as NonNullable<OneDeployment["waits"]>;
  const isAuthor = row.created_by?.username === user.value?.username;
  const words = wordsOn(waits, isAuthor);
  // What ends the row for good is never what Enter does, however what it waits for changes meanwhile.
  const first = letsGoOn(words);
  const rights = useRights(app.id);
  const may = rights.data.value;
  const title = titleOf(row);
  const text = message.trim();
  const wrong = tooLong(message, MESSAGE_MOST);
  const preview = usePreview(`${row.id} ${app.live?.deployment_id} ${waits.message}`, (signal) =>
    previewWaiting(app.id, row.id, signal),
  );
  const [chosen, choose] = useState<Purpose>();
  const sending = useSaying(app, row, leaving);
  const blocked = wrong && "The message is too long";
  const give = (purpose: Purpose) => {
    choose(purpose);
    sending.send({ purpose, digest: preview.data?.digest ?? row.digest, ...(text ? { message: text } : {}) });
  };
  const main = sending.isUncertain ? chosen : first;
  const why = isAuthor && waits.approvals_needed !== null ? "You are its author: somebody else has to approve it" : "";
  return (
    <ActingForm
      leaving={leaving}
      action={first && `${first} ${title}`}
      isReady={preview.isCurrent}
      right={main && may?.[RIGHTS[main]]}
      askRight={() => void rights.refresh()}
      says={why}
      waits={blocked || (first && waitsForPreview(preview))}
      sending={sending}
      what={`Your decision on ${title}: ${chosen}`}
      look={preview.refresh}
      onAct={() => first && give(first)}
      others={
        !sending.isUncertain &&
        words.map((word) => {
          if (word === first) return null;
          const isEnd = word !== "Resume";
          const isHeld = waitsAfter(sending) || blocked || (sending.isSending && SENDING);
          return (
            <Action
              key={word}
              kind={isEnd ? "danger" : undefined}
              right={may?.[RIGHTS[word]]}
              why={isHeld || (isEnd ? "" : waitsForPreview(preview))}
              onClick={() => give(word)}
            >
              {word}
              <span class="hidden-label"> {title}</span>
            </Action>
          );
        })
      }
    >
      <div class="body">
        <p class="notice warn">
          <Said text={waits.message} />
        </p>
        <Asked app={app} row={row} preview={preview.data} />
        <PreviewView preview={preview}>
          <Held sending={sending}>
            <MessageField value={message} wrong={wrong} onChange={type} />
          </Held>
        </PreviewView>
        <Terminal
          text={wordLine({
            namespace: app.namespace,
            app: app.resource_name,
            word: first ?? (words[0] as Purpose),
            row: row.sequence ?? row.name,
            message: text,
          })}
        />
      </div>
    </ActingForm>
  );
}

/** Who asked for what, and what was said of it. */
function Asked({ app, row, preview }: { app: App; row: OneDeployment; preview?: WaitingPreview }) {
  const waits = row.waits;
  const counted = waits ? approvalsOf(waits) : "";
  const said = useApprovals(app, row);
  const approvers = approversOf(row);
  return (
    <dl class="facts">
      <Fact label="Asked">
        <Time at={row.created_at} /> by <Person name={row.created_by?.username} />
        {preview?.base && ` while #${preview.base.sequence} was live`}
      </Fact>
      {row.message && (
        <>
          <dt>Message</dt>
          <dd class="break message">{row.message}</dd>
        </>
      )}
      {(counted || said.length > 0) && (
        <Fact label="Approvals">
          {counted}
          <Words said={said} />
        </Fact>
      )}
      {approvers && <Fact label="Can be approved by">{approvers}</Fact>}
      {waits?.until && (
        <Fact label="Until">
          <Moment at={waits.until} />
        </Fact>
      )}
    </dl>
  );
}

/** What was said of a row, read again with each change of it. */
export function useApprovals(app: App, row: Pick<OneDeployment, "id" | "waits" | "released">): Approval[] {
  const key = row.waits || row.released ? `approvals ${row.id} ${row.waits?.approvals} ${row.released?.at}` : undefined;
  return useQuery(key, (signal) => readApprovals(app.id, row.id, signal)).data.value ?? [];
}

/** Who said what, and why. */
export function Words({ said }: { said: Approval[] }) {
  return (
    <ul class="small">
      {said.map((each) => (
        <li key={each.id} class="break">
          {each.purpose}, by <Person name={each.created_by?.username} /> <Time at={each.created_at} />
          {each.message && `: ${each.message}`}
          {(each.is_restored || !each.is_of_this_digest) && <span class="muted"> (counts for nothing)</span>}
        </li>
      ))}
    </ul>
  );
}
