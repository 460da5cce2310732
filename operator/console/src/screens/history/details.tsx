import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { readComparison } from "../../api/history.ts";
import { rollBackLine } from "../../pure/commands.ts";
import { computeInWords } from "../../pure/config-words.ts";
import {
  approversOf,
  offerOn,
  rejectedAs,
  rejectionsOf,
  releasedBy,
  verifiedInWords,
  whyNotBack,
} from "../../pure/guards.ts";
import { asSearch, readFilters } from "../../pure/history-filters.ts";
import {
  canComeBack,
  configOf,
  fieldOf,
  isPinnedByDigest,
  isUnderWay,
  numberOf,
  provenanceOf,
  titleOf,
} from "../../pure/row-words.ts";
import type { App, WholeRow } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { duration } from "../../pure/time.ts";
import { useLeaving } from "../../state/leaving.ts";
import { useLocation } from "../../state/location.tsx";
import { type Query, useQuery } from "../../state/query.ts";
import { useRejections } from "../../state/rejections.ts";
import { useRights } from "../../state/rights.ts";
import { useRow } from "../../state/row.ts";
import { user } from "../../state/session.ts";
import { Action } from "../../ui/action.tsx";
import { Command, Copy } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Diff } from "../../ui/diff.tsx";
import { Fact } from "../../ui/fact.tsx";
import { Said } from "../../ui/said.tsx";
import { Failure, Loaded, Skeleton } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { RejectDialog } from "../guards/dialogs.tsx";
import { useApprovals, Words } from "../guards/review.tsx";
import { Flow } from "./flow.tsx";
import { Outcome, Version } from "./row.tsx";

/** Details of a row, at the side of the history: all that is known of it. */
export function RowDialog({ app, rowId }: { app: App; rowId: string }) {
  const { query } = useLocation();
  const search = asSearch(readFilters(query));
  const { close } = useLeaving(false, `/console/apps/${app.id}/history${search}`);
  const row = useRow(app.id, rowId, true) as Query<WholeRow>;
  const found = row.data.value;
  return (
    <Dialog title={found ? `${titleOf(found)} of ${app.name}` : "Details"} onClose={close} side>
      <div class="body row-details">
        <Loaded query={row} lines={12}>
          {(whole) => <Whole app={app} row={whole} />}
        </Loaded>
      </div>
      {found && <Foot app={app} row={found} search={search} />}
    </Dialog>
  );
}

function Foot({ app, row, search }: { app: App; row: WholeRow; search: string }) {
  const [isRejecting, reject] = useState(false);
  const rejections = rejectionsOf(useRejections(app.id), row.flow_hash);
  const version = row.workflow_version?.version;
  const rights = useRights(app.id).data.value;
  const live = app.live?.deployment_id;
  const offer = offerOn(row, user.value?.username, rights);
  return (
    <footer>
      <div class="buttons end">
        {row.flow_hash && version && (
          <Action right={rights?.reject_versions} kind="plain" onClick={() => reject(true)}>
            {rejections.length ? "Withdraw the rejection…" : `Reject ${version}…`}
          </Action>
        )}
        {live && live !== row.id && (
          <Action href={`/console/apps/${app.id}/compare?a=${row.id}&b=${live}`}>Compare with what is live</Action>
        )}
        {offer && (
          <Action kind="primary" href={`/console/apps/${app.id}/history/${row.id}/review${search}`}>
            {offer}…
          </Action>
        )}
        {isUnderWay(row) && !offer && (
          <Action kind="primary" href={`/console/apps/${app.id}/rollouts/${row.id}`}>
            Follow the rollout
          </Action>
        )}
        {canComeBack(row) && (
          <Action
            right={rights?.roll_back}
            why={whyNotBack(row, rights?.bypass.allowed)}
            href={`/console/apps/${app.id}/history/${row.id}/roll-back${search}`}
            kind="primary"
          >
            Roll back
          </Action>
        )}
      </div>
      {isRejecting && version && (
        <RejectDialog
          app={app.id}
          version={version}
          of={{ deployment_id: row.id }}
          rejections={rejections}
          onClose={() => reject(false)}
        />
      )}
    </footer>
  );
}

function Whole({ app, row }: { app: App; row: WholeRow }) {
  return (
    <>
      <Facts row={row} app={app} />
      <RulesOfRow row={row} app={app} />
      <Runs row={row} />
      <Changes app={app} row={row} />
      <Digests row={row} />
      {row.conditions.length > 0 && <Conditions row={row} />}
      <Flow text={row.flow} />
      <Record title="Asked" of={row.asked} />
      {row.pinned && <Record title="Pinned" of={row.pinned} />}
      <Lines app={app} row={row} />
    </>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="part">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Facts({ row, app }: { row: WholeRow; app: App }) {
  const from = provenanceOf(row);
  const author = row.created_by?.username ?? "unknown";
  const isUnverified = row.pinned?.createdByVerified === false;
  return (
    <dl class="facts">
      <Fact label="Status">
        <Outcome row={row} app={app} />
        {row.is_live && <div class="small muted">It is what the App serves.</div>}
      </Fact>
      <Fact label="Version">
        <Version row={row} /> <span class="description">{row.workflow_version?.description}</span>
        {row.pinned && <span class="muted"> of {row.pinned.workflow}</span>}
      </Fact>
      {from && <Fact label="Provenance">{from}</Fact>}
      {row.source === "App" && <Fact label="Source">App.spec.deploy</Fact>}
      {row.source === "Revert" && <Fact label="Source">The operator reverted a bad version</Fact>}
      {row.message && (
        <Fact label="Message">
          <span class="message">{row.message}</span>
        </Fact>
      )}
      <Fact label="Created by">
        {author}
        {isUnverified && <span class="small muted"> (not stamped by the API server)</span>}
      </Fact>
      <Fact label="Date">
        <Time at={row.created_at} full />
      </Fact>
      {row.outcome && (
        <Fact label="Outcome">
          {row.outcome.result}: {row.outcome.reason}
          <span class="small muted">
            {" · "}
            <Time at={row.outcome.at} full />
            {row.duration_seconds !== null && `, after ${duration(row.duration_seconds)}`}
          </span>
        </Fact>
      )}
    </dl>
  );
}

/** What the rules for deploys made of the row, and whether it could be brought back now. */
function RulesOfRow({ row, app }: { row: WholeRow; app: App }) {
  const said = useApprovals(app, row);
  const rejected = rejectedAs(useRejections(app.id), row);
  const back = canComeBack(row) ? row.deployable : null;
  const facts: [string, ComponentChildren][] = [
    ["Waits for", row.waits && <Said text={row.waits.message} />],
    ["Can be approved by", approversOf(row)],
    ["Let go on", row.released && <Released row={row} />],
    ["Said of it", said.length > 0 && <Words said={said} />],
    ["Verified", verifiedInWords(row).replace("Verified: ", "")],
    ["Past the rules", row.bypass_reason && <span class="break">{row.bypass_reason}</span>],
    ["Holds Git", row.holds && `Since #${row.holds.sequence}, while this row is live, until somebody resumes it`],
    ["Rejected", rejected && <Said text={rejected} />],
    ["Rollback", back && <Back back={back} />],
  ];
  const told = facts.filter(([, says]) => says);
  if (told.length === 0) return null;
  return (
    <Part title="Rules for deploys">
      <dl class="facts">
        {told.map(([label, says]) => (
          <Fact key={label} label={label}>
            {says}
          </Fact>
        ))}
      </dl>
    </Part>
  );
}

function Released({ row }: { row: WholeRow }) {
  const by = releasedBy(row);
  return (
    <>
      {row.released && <Time at={row.released.at} full />}
      {by && `. ${by}`}
    </>
  );
}

/** Whether the row could be brought back now, why not, and what its rollback would wait for. */
function Back({ back }: { back: NonNullable<WholeRow["deployable"]> }) {
  const word =
    back.ok === null
      ? "Unknown if you can roll back to it"
      : back.ok
        ? "You can roll back to it"
        : "You cannot roll back to it";
  const said = [...back.reasons, ...back.waits.map((each) => `it would wait: ${each}`), ...back.notes];
  return (
    <>
      {word}
      {back.warm && ", and its pods are ready"}
      {said.length > 0 && (
        <ul class="small">
          {said.map((each) => (
            <li key={each}>
              <Said text={each} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** On what it runs, and how. */
function Runs({ row }: { row: WholeRow }) {
  const image = row.pinned?.runtime.image;
  const resources = computeInWords(row.deployment_config.config.resources);
  return (
    <Part title="Runtime and config">
      <dl class="facts">
        <Fact label="Runtime">
          {row.runtime?.version ?? "—"}
          {row.runtime?.label && <span class="muted"> {row.runtime.label}</span>}
        </Fact>
        {image && (
          <Fact label="Image">
            <code class="break">{image}</code>
            <span class="small muted">
              {isPinnedByDigest(image) ? " Pinned by its digest." : " Named by a tag, which may move."}
            </span>
          </Fact>
        )}
        <Fact label="Config">{configOf(row.deployment_config)}</Fact>
        {resources && <Fact label="Each pod">{resources}</Fact>}
        {row.ready && (
          <Fact label="Pods">
            {row.ready.ready} of {row.ready.wanted} ready
            {row.ready.serving && !row.is_live && <span class="muted">; {row.ready.serving} still serves</span>}
          </Fact>
        )}
      </dl>
    </Part>
  );
}

/** What changed from the row before it. */
function Changes({ app, row }: { app: App; row: WholeRow }) {
  const isPinned = row.pinned !== null;
  const query = useQuery(isPinned ? `diff ${app.id} ${row.id}` : undefined, (signal) =>
    readComparison(app.id, row.id, undefined, signal),
  );
  const title = "Changes from the row before";
  if (!isPinned) return null;
  const found = query.data.value;
  const problem = query.problem.value;
  if (!found) {
    return (
      <Part title={title}>
        {problem ? <Failure problem={problem} retry={() => void query.refresh()} /> : <Skeleton />}
      </Part>
    );
  }
  if (!found.from) return <Part title={title}>There is none: it is the first row.</Part>;
  const before = { sequence: found.from.sequence, name: found.from.row ?? "" };
  return (
    <Part title={`Changes from ${found.from.version} (${numberOf(before)})`}>
      {found.changes.length === 0 && <p class="muted">Version, runtime, config and resources are the same.</p>}
      {found.changes.length > 0 && (
        <dl class="facts">
          {found.changes.map((change) => (
            <Fact key={change.field} label={fieldOf(change.field)}>
              <del>{change.from ?? "nothing"}</del> → <ins>{change.to ?? "nothing"}</ins>
            </Fact>
          ))}
        </dl>
      )}
      {found.warnings.map((warning) => (
        <p key={warning} class="notice warn small">
          {warning}
        </p>
      ))}
      {found.warnings.length === 0 && <Diff text={found.flow_diff} label="Flow" />}
      <Command
        text={line("kubectl", "dynamiq", "diff", row.app_name, nameOf(before), nameOf(row), "-n", row.namespace)}
      />
    </Part>
  );
}

/** A row as the plugin takes it. */
function nameOf(row: { sequence: number | null; name: string }): string {
  return `${row.sequence ?? row.name}`;
}

/** Letters of a digest that are on one line with the button. */
const END = 4;

function Digests({ row }: { row: WholeRow }) {
  if (!row.pinned) return null;
  const named: [string, string | null | undefined][] = [
    ["Own", row.pinned.digest],
    ["Of the row before", row.pinned.previousDigest],
    ["Of the outcome", row.outcome?.digest],
    ["Flow", row.pinned.workflowHash],
  ];
  return (
    <Part title="Digests">
      <dl class="facts">
        {named.map(([label, digest]) => (
          <Fact key={label} label={label}>
            {digest ? <Digest text={digest} label={label} /> : <span class="muted">none</span>}
          </Fact>
        ))}
      </dl>
    </Part>
  );
}

/** A digest; the button that copies it stays beside its end, wherever the line breaks. */
function Digest({ text, label }: { text: string; label: string }) {
  return (
    <span class="break">
      <code>{text.slice(0, -END)}</code>
      <span class="end">
        <code>{text.slice(-END)}</code>
        <Copy text={text} label={`Copy: ${label}`} />
      </span>
    </span>
  );
}

function Conditions({ row }: { row: WholeRow }) {
  return (
    <Part title="Conditions">
      <dl class="facts">
        {row.conditions.map((each) => (
          <Fact key={each.type} label={each.type}>
            {each.status}
            {each.reason && `, ${each.reason}`}
            {each.message && (
              <>
                : <Said text={each.message} isPart />
              </>
            )}
            {each.since && (
              <span class="small muted">
                {" · "}
                <Time at={each.since} />
              </span>
            )}
          </Fact>
        ))}
      </dl>
    </Part>
  );
}

/** A part of the record as it is stored. */
function Record({ title, of }: { title: string; of: object }) {
  const text = JSON.stringify(of, null, 2);
  return (
    <details class="record">
      <summary>{title}, as the record has it</summary>
      <Flow.Text text={text} label={title} />
    </details>
  );
}

function Lines({ app, row }: { app: App; row: WholeRow }) {
  const place = ["-n", row.namespace];
  const lines = [["kubectl", "get", "deployments.dynamiq", row.name, ...place, "-o", "yaml"]];
  if (isUnderWay(row)) lines.push(["kubectl", "dynamiq", "status", app.resource_name, ...place]);
  const back = { namespace: row.namespace, app: row.app_name, row: nameOf(row), withConfig: false };
  return (
    <Part title="In a terminal">
      {lines.map((words) => (
        <Command key={words[2]} text={line(...words)} />
      ))}
      {canComeBack(row) && <Command text={rollBackLine(back)} />}
    </Part>
  );
}
