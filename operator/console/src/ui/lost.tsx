import { connection } from "../state/connection.ts";
import { isExpired } from "../state/session.ts";
import { Action } from "./action.tsx";

/** What is lost at this moment: the session, or the API. The screen below stays as it is. */
export function Lost() {
  if (isExpired.value) {
    const open = () => window.open("/console/sign-in?window=1", "dynamiq-sign-in", "popup,width=520,height=640");
    return (
      <div class="notice warn" role="alert">
        <span>Your session has ended. Sign in again in a second window: what you filled in stays here.</span>
        <Action tiny onClick={open}>
          Sign in again
        </Action>
      </div>
    );
  }
  if (connection.value === "away") {
    return (
      <div class="notice warn" role="status">
        The API does not answer at this moment. What you see may be old; it is read again by itself as soon as the API
        is back.
      </div>
    );
  }
  return null;
}
