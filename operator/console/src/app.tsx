import { useEffect } from "preact/hooks";
import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { AppScreen } from "./screens/app/index.tsx";
import { DeploymentsScreen } from "./screens/deployments.tsx";
import { Frame } from "./screens/frame.tsx";
import { SignInScreen } from "./screens/sign-in.tsx";
import { UnknownScreen } from "./screens/unknown.tsx";
import { WorkflowScreen } from "./screens/workflow.tsx";
import { WorkflowsScreen } from "./screens/workflows.tsx";
import { readSession, session } from "./state/session.ts";

/** The console: who is signed in decides between the sign-in and the screens. */
export function App() {
  useEffect(() => {
    readSession().catch(() => undefined);
  }, []);
  return (
    <LocationProvider scope="/console">
      <Screens />
    </LocationProvider>
  );
}

function Screens() {
  const { path, url, route } = useLocation();
  const known = session.value;
  const isSignIn = path.startsWith("/console/sign-in");
  const mustSignIn = known !== undefined && known.user === null && !isSignIn;
  useEffect(() => {
    if (mustSignIn) route(`/console/sign-in?to=${encodeURIComponent(url)}`, true);
  }, [mustSignIn, url, route]);
  if (isSignIn) return <SignInScreen />;
  if (!known?.user) return <Frame />;
  return (
    <Frame>
      <Router>
        <Route path="/console/" component={DeploymentsScreen} />
        <Route path="/console/apps/:id/*" component={AppScreen} />
        <Route path="/console/apps/:id" component={AppScreen} />
        <Route path="/console/workflows" component={WorkflowsScreen} />
        <Route path="/console/workflows/:id/*" component={WorkflowScreen} />
        <Route path="/console/workflows/:id" component={WorkflowScreen} />
        <Route default component={UnknownScreen} />
      </Router>
    </Frame>
  );
}
