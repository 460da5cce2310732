import { useEffect, useState } from "preact/hooks";
import { readVerification } from "../../api/history.ts";
import { type Problem, problemOf } from "../../api/problem.ts";
import type { App, Verification } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { sentence } from "../../pure/texts.ts";
import { verdictOf, WITHOUT_DIGEST } from "../../pure/verdict.ts";
import { useNewest } from "../../state/newest.ts";
import { Action } from "../../ui/action.tsx";
import { Command, Copy } from "../../ui/copy.tsx";
import { Field } from "../../ui/field.tsx";
import { Icon } from "../../ui/icons.tsx";

interface Props {
  app: App;
  verified?: Verification;
  onVerified: (found: Verification | undefined) => void;
  /** Goes to a row of the list. */
  onShow: (sequence: number) => void;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether anybody changed or removed a row: what was found, the newest digest to keep, and a field for one that was kept. */
export function VerifyPanel({ app, verified, onVerified, onShow }: Props) {
  const [expect, setExpect] = useState(verified?.expected?.digest ?? "");
  const [wrong, setWrong] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const request = useNewest();
  const verify = async (digest: string) => {
    const signal = request.begin();
    setProblem(undefined);
    onVerified(undefined);
    try {
      onVerified(await readVerification(app.id, digest || undefined, signal));
    } catch (thrown) {
      if (!signal.aborted) setProblem(problemOf(thrown));
    }
  };
  useEffect(() => {
    if (!verified) void verify("");
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const digest = expect.trim().toLowerCase();
    const isOne = digest === "" || DIGEST.test(digest);
    setWrong(isOne ? "" : "A digest is sha256: and 64 letters from 0 to 9 and a to f: this one was not looked for.");
    if (isOne) void verify(digest);
  };
  const reset = () => {
    setExpect("");
    setWrong("");
    if (verified?.expected || problem) void verify("");
  };
  const expected = DIGEST.test(expect.trim()) ? ["--expect", expect.trim()] : [];
  return (
    <section class="verify" aria-label="Verify">
      <div role="status" aria-live="polite">
        {problem ? (
          <div class="notice bad">
            <span class="break">{problem.message}</span>
            <Action tiny onClick={() => void verify(expect.trim())}>
              Retry
            </Action>
          </div>
        ) : verified ? (
          <Verdict verified={verified} onShow={onShow} />
        ) : (
          <p class="muted">Every row is read and its digest computed anew…</p>
        )}
      </div>
      <form onSubmit={submit}>
        <Field
          label="Expected digest"
          hint="One that was written down earlier: a row or record must still have it. Only so does it show when the newest rows are gone."
          wrong={wrong}
        >
          {(attributes) => (
            <div class="with-button">
              <input
                {...attributes}
                class="input mono"
                placeholder="sha256:…"
                autocomplete="off"
                spellcheck={false}
                value={expect}
                onInput={(event) => setExpect(event.currentTarget.value)}
              />
              <button type="submit" class="button">
                Verify
              </button>
              {(expect !== "" || verified?.expected) && (
                <Action kind="plain" onClick={reset}>
                  Reset
                </Action>
              )}
            </div>
          )}
        </Field>
      </form>
      <Command text={line("kubectl", "dynamiq", "verify", app.resource_name, "-n", app.namespace, ...expected)} />
    </section>
  );
}

function Verdict({ verified, onShow }: { verified: Verification; onShow: (sequence: number) => void }) {
  const { newest, settings } = verified;
  const misfits = [
    ...verified.misfits,
    ...(settings?.misfits ?? []).map((each) => ({ ...each, deployment_id: each.name, sequence: null })),
  ];
  const untold = verified.misfit_count + (settings?.misfit_count ?? 0) - misfits.length;
  const told = verdictOf(verified);
  return (
    <>
      <p class={told.isIntact ? "verdict good" : "verdict bad"}>
        <Icon shape={told.isIntact ? "check" : "warning"} /> <strong class="break">{sentence(told.says)}</strong>
      </p>
      {told.expected && (
        <p class={told.expected.isFound ? "verdict good small" : "verdict warn small"}>
          <Icon shape={told.expected.isFound ? "check" : "warning"} /> <span>{told.expected.says}</span>
        </p>
      )}
      {misfits.length > 0 && (
        <ul class="misfits small">
          {misfits.map((each) => (
            <li key={each.deployment_id}>
              {each.sequence === null ? (
                <strong>{each.name}</strong>
              ) : (
                <Action kind="plain" tiny onClick={() => onShow(each.sequence as number)}>
                  #{each.sequence}
                </Action>
              )}{" "}
              <span class="break">{each.says}</span>
            </li>
          ))}
          {untold > 0 && <li class="muted">and {untold.toLocaleString("en")} more</li>}
        </ul>
      )}
      {newest && (
        <p class="digest">
          <span class="small muted">Newest digest (#{newest.sequence ?? "?"}); keep it elsewhere:</span>{" "}
          <code class="break">{newest.digest}</code> <Copy text={newest.digest} label="Copy the digest" />
        </p>
      )}
      <p class="small muted">{WITHOUT_DIGEST}</p>
    </>
  );
}
