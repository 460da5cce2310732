import { useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";
import { errorOf, refusalOf, targetOf } from "../pure/sign-in.ts";
import { useLocation } from "../state/location.tsx";
import { announceSignIn, session, signIn, user } from "../state/session.ts";
import { Action } from "../ui/action.tsx";
import { arriveAnew } from "../ui/arrival.tsx";
import { Field } from "../ui/field.tsx";
import { Mark } from "../ui/mark.tsx";
import { useTitle } from "../ui/title.ts";

/** Signs in with OIDC where the cluster has it, or with a token, and goes on to the link that was asked for; a second window tells the first and closes. */
export function SignInScreen() {
  const { query, route } = useLocation();
  const isSecondWindow = query.window !== undefined;
  const isIn = user.value !== undefined;
  useTitle("Sign in");
  useEffect(() => {
    if (!isIn) return;
    if (isSecondWindow) {
      announceSignIn();
      window.close();
    } else {
      arriveAnew();
      route(targetOf(query.to), true);
    }
  }, [isIn]);
  return (
    <main class="sign-in">
      <div class="panel">
        <div class="title">
          <Mark size={40} />
          <h1>{isIn && isSecondWindow ? "You are signed in" : "Sign in"}</h1>
          <p class="small muted break">{location.host}</p>
        </div>
        {isIn ? (
          <p class="muted">
            {isSecondWindow ? "Close this window: the page that you came from goes on." : "One moment…"}
          </p>
        ) : (
          <Ways to={query.to} error={errorOf(query.error)} isSecondWindow={isSecondWindow} />
        )}
      </div>
    </main>
  );
}

function Ways({ to, error, isSecondWindow }: { to?: string; error?: string; isSecondWindow: boolean }) {
  const oidc = session.value?.sign_in.oidc;
  const target = isSecondWindow ? "/console/sign-in?window=1" : targetOf(to);
  return (
    <>
      {error && (
        <p class="notice bad" role="alert">
          {error}
        </p>
      )}
      {oidc && (
        <>
          <a class="button primary" href={`/console/oidc/start?to=${encodeURIComponent(target)}`} target="_top">
            Sign in with {oidc.name}
          </a>
          <p class="or small muted">or with a token</p>
        </>
      )}
      <TokenForm isFirst={!oidc} />
    </>
  );
}

function TokenForm({ isFirst }: { isFirst: boolean }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  // Where a token is the only way in, and after a refusal, the next thing to do is to paste one.
  useEffect(() => {
    if (isFirst || problem) field.current?.focus();
  }, [isFirst, problem]);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(token.trim());
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Field label="Token" wrong={problem && refusalOf(problem)}>
        {(attributes) => (
          <input
            {...attributes}
            ref={field}
            class="input mono"
            onFocus={(event) => event.currentTarget.select()}
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        )}
      </Field>
      <Action type="submit" kind={isFirst ? "primary" : undefined} disabled={isBusy}>
        {isBusy ? "Signing in…" : isFirst ? "Sign in" : "Sign in with the token"}
      </Action>
      <details class="small">
        <summary>Where do I get a token?</summary>
        <p class="muted">
          Of a service account: <code>kubectl create token NAME -n NAMESPACE</code>. Where your cluster signs people in
          by OIDC, the ID token that <code>kubectl</code> uses works too. You can do here what it may do, and no more.
        </p>
      </details>
    </form>
  );
}
