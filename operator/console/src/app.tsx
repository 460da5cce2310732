import { useEffect, useState } from "preact/hooks";
import { type Problem, problemOf } from "./api/problem.ts";
import { AppScreen } from "./screens/app/index.tsx";
import { DeploymentsScreen } from "./screens/deployments/index.tsx";
import { Frame } from "./screens/frame.tsx";
import { rest, WorkflowScreen, WorkflowsScreen } from "./screens/parts.ts";
import { SignInScreen } from "./screens/sign-in.tsx";
import { UnknownScreen } from "./screens/unknown.tsx";
import { LocationProvider, useLocation, useTop } from "./state/location.tsx";
import { readSession, session } from "./state/session.ts";
import { Failure } from "./ui/states.tsx";

const ASKED_AGAIN_AFTER = 3_000;
const REST_AFTER = 1_000;

/** The console: who is signed in decides between the sign-in and the screens. */
export function App() {
  return (
    <LocationProvider>
      <Screens />
    </LocationProvider>
  );
}

/** Reads who is signed in, until there is an answer. Returns why there is none yet. */
function useSession(): { problem?: Problem; ask: () => void } {
  const [problem, setProblem] = useState<Problem>();
  const ask = () => {
    readSession().then(
      () => setProblem(undefined),
      (thrown) => setProblem(problemOf(thrown)),
    );
  };
  useEffect(() => {
    ask();
    const timer = setInterval(() => session.value === undefined && ask(), ASKED_AGAIN_AFTER);
    return () => clearInterval(timer);
  }, []);
  return { problem, ask };
}

function Screens() {
  const { path, url, route } = useLocation();
  const { problem, ask } = useSession();
  const known = session.value;
  const isSignIn = path === "/console/sign-in";
  const mustSignIn = known !== undefined && known.user === null && !isSignIn;
  const isIn = Boolean(known?.user);
  useEffect(() => {
    if (!isIn) return;
    const timer = setTimeout(() => void rest.load().catch(() => undefined), REST_AFTER);
    return () => clearTimeout(timer);
  }, [isIn]);
  useEffect(() => {
    if (mustSignIn) route(`/console/sign-in?to=${encodeURIComponent(url)}`, true);
  }, [mustSignIn, url, route]);
  if (known === undefined && problem) {
    return (
      <Frame>
        <Failure problem={problem} level={1} retry={ask} />
      </Frame>
    );
  }
  if (isSignIn) return <SignInScreen />;
  if (!known?.user) return <Frame />;
  return (
    <Frame>
      <Screen />
    </Frame>
  );
}

/** The screen of the address. */
function Screen() {
  const { path } = useLocation();
  const [, , kind, id] = path.split("/");
  useTop();
  if (kind === undefined) return <DeploymentsScreen />;
  if (kind === "apps" && id) return <AppScreen id={id} />;
  if (kind === "workflows") return id ? <WorkflowScreen id={id} /> : <WorkflowsScreen />;
  return <UnknownScreen />;
}
