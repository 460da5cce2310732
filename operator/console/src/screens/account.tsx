import { useId } from "preact/hooks";
import { problemOf } from "../api/problem.ts";
import { personOf } from "../pure/people.ts";
import { session, signOut, type User } from "../state/session.ts";
import { type Theme, theme } from "../state/theme.ts";
import { Action } from "../ui/action.tsx";
import { Time } from "../ui/time.tsx";
import { toast } from "../ui/toasts.tsx";

const THEMES: [Theme, string][] = [
  ["system", "System"],
  ["light", "Light"],
  ["dark", "Dark"],
];

/** Who one is, how the console looks, and the way out; behind a button, so that it fits a phone. */
export function Account({ user }: { user: User }) {
  const id = useId();
  const until = session.value?.expires_at;
  const leave = () => signOut().catch((thrown) => toast(problemOf(thrown).message, "bad"));
  return (
    <div class="account">
      <button type="button" class="button who" popovertarget={id} aria-label={`Account: ${user.username}`}>
        <span aria-hidden="true">{[...personOf(user.username)][0]?.toUpperCase()}</span>
      </button>
      <div id={id} popover="auto" class="menu-list">
        <div>
          <p class="small muted">Signed in as</p>
          <p class="break who-name">{user.username}</p>
          {until && (
            <p class="small muted">
              Your token ends <Time at={until} isPlanned />
            </p>
          )}
        </div>
        <fieldset class="field">
          <legend>Theme</legend>
          <div class="segments">
            {THEMES.map(([value, label]) => (
              <label key={value}>
                <input
                  type="radio"
                  name="theme"
                  checked={theme.value === value}
                  onChange={() => (theme.value = value)}
                />
                {label}
              </label>
            ))}
          </div>
        </fieldset>
        <Action onClick={() => void leave()}>Sign out</Action>
        <p class="small muted">Version {session.value?.version}</p>
      </div>
    </div>
  );
}
