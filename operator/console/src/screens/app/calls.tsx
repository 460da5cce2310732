import { useState } from "preact/hooks";
import { addressOf } from "../../pure/address.ts";
import { inputOf } from "../../pure/flow.ts";
import type { App } from "../../pure/shapes.ts";
import { callSnippet, deploySnippet, historySnippet, LANGUAGES, type Language } from "../../pure/snippets.ts";
import { Command } from "../../ui/copy.tsx";
import { Segments } from "../../ui/segments.tsx";

const SUBJECTS = ["The App", "Its history", "A deploy"] as const;
type Subject = (typeof SUBJECTS)[number];

/** Lines to copy: a call of the App, and the management API about it. `flow`: the text of what is live. */
export function Snippets({ app, flow }: { app: App; flow?: string | null }) {
  const address = addressOf(app.hostname);
  const [subject, setSubject] = useState<Subject>("The App");
  const [language, setLanguage] = useState<Language>("curl");
  return (
    <section class="panel" aria-labelledby="call-it">
      <header>
        <h2 id="call-it">Call it</h2>
        <Segments label="Language" choices={LANGUAGES} value={language} onChange={setLanguage} />
      </header>
      <div class="inside column">
        <Segments label="What to call" choices={SUBJECTS} value={subject} onChange={setSubject} />
        {subject === "The App" && !address ? (
          <p class="muted">It has no hostname yet: the first deployment gives it one.</p>
        ) : (
          <Command text={snippetOf(subject, language, app, address ?? "", flow ?? "")} label="Copy" />
        )}
        <p class="small muted">
          {subject === "The App" ? (
            <OfAccess app={app} />
          ) : (
            "The management API: with your own token, under your own rights."
          )}
        </p>
      </div>
    </section>
  );
}

function OfAccess({ app }: { app: App }) {
  if (app.access_control.access_type !== "private") return <>It is public: whoever reaches its hostname may call it.</>;
  return (
    <>
      Make an <a href={`/console/apps/${app.id}/configuration`}>Access Key</a>, and keep it in the variable
      DYNAMIQ_ACCESS_KEY.
    </>
  );
}

function snippetOf(subject: Subject, language: Language, app: App, address: string, flow: string): string {
  if (subject === "The App") {
    const isPrivate = app.access_control.access_type === "private";
    return callSnippet(language, { address, isPrivate, input: inputOf(flow) });
  }
  const managed = {
    origin: location.origin,
    app: app.id,
    workflow: app.workflow_id,
    version: app.workflow_version_id,
    runtime: app.runtime_id,
  };
  return subject === "Its history" ? historySnippet(language, managed) : deploySnippet(language, managed);
}
