import { configToSend, filled } from "../../pure/config.ts";
import { computeInWords, scalingInWords, typeInWords } from "../../pure/config-words.ts";
import { runtimeOfNew } from "../../pure/deploy-form.ts";
import { Consequences } from "../../ui/preview.tsx";
import type { Deploying, Panel } from "./deploying.ts";

/** What a new deployment makes. Nothing is live yet, so there is nothing to compare. */
export function NewAppOutlook({ panel, deploying }: { panel: Panel; deploying: Deploying }) {
  const { edits, runtimes, workflow } = panel;
  const { version } = deploying;
  const runtime = runtimeOfNew(edits, runtimes);
  const config = configToSend(edits.config, undefined);
  const { type } = filled(edits.config, undefined);
  const facts: [string, string][] = [
    ["App", edits.name?.trim() || "(give it a name)"],
    ["Workflow", workflow.name],
    ["Version", [version?.version, version?.description].filter(Boolean).join(" · ")],
    ["Runtime", [runtime?.version ?? "the newest", runtime?.label].filter(Boolean).join(" · ")],
    ["Type", typeInWords(type)],
    ["Scaling", scalingInWords(config ?? { deployment_type: type })],
    ["Resources", computeInWords(config?.config?.resources) || "the runtime's"],
  ];
  const isPrivate = (edits.access ?? "private") === "private";
  return (
    <section class="outlook" aria-label="Preview">
      <header>
        <h3>What will be created</h3>
      </header>
      <div class="told">
        <dl class="facts pairs">
          {facts.map(([label, says]) => (
            <>
              <dt key={label}>{label}</dt>
              <dd>{says}</dd>
            </>
          ))}
        </dl>
        <Consequences
          of={[
            { kind: "calm", says: "An App, and its first deployment" },
            {
              kind: isPrivate ? "calm" : "attention",
              says: isPrivate ? "Callers send an Access Key" : "Whoever reaches its address may call it, without a key",
            },
            {
              kind: "calm",
              says:
                type === "serverless"
                  ? "It sleeps while nobody calls, and the next call wakes it"
                  : "Its pods will be started, and always run",
            },
          ]}
        />
      </div>
    </section>
  );
}
