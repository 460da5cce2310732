import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { type Problem, problemOf } from "../api/problem.ts";
import { announceSignIn, session, signIn } from "../state/session.ts";
import { Field } from "../ui/field.tsx";

/** Only a path of the console is a target: a link must not lead a signed-in reader elsewhere. */
export function targetOf(given: string | undefined): string {
  return given?.startsWith("/console/") && !given.startsWith("/console/sign-in") ? given : "/console/";
}

/** Signs in with a token, or with OIDC where the cluster has it, and goes on to the link that was asked for. */
export function SignInScreen() {
  const { query, route } = useLocation();
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const oidc = session.value?.sign_in.oidc;
  const finish = () => {
    if (query.window) {
      announceSignIn();
      window.close();
    } else route(targetOf(query.to), true);
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await signIn(token.trim());
      finish();
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
  };
  return (
    <main class="sign-in">
      <h1>Sign in</h1>
      {oidc && (
        <a class="button primary" href={`/console/oidc/start?to=${encodeURIComponent(targetOf(query.to))}`}>
          Sign in with {oidc.name}
        </a>
      )}
      <form onSubmit={(event) => void submit(event)}>
        <Field label="Token" hint="kubectl create token, or an ID token of your cluster" wrong={problem?.message}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              type="password"
              autocomplete="off"
              required
              value={token}
              onInput={(event) => setToken(event.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" class="button primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
