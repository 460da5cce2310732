import { inProject } from "../state/project.ts";
import { Action } from "../ui/action.tsx";
import { Empty } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";

/** No screen has this address. */
export function UnknownScreen() {
  useTitle("No such page");
  return (
    <Empty title="There is no such page" level={1}>
      <p class="muted">The link may be cut, or of another version of the console.</p>
      <Action href={inProject("/console/")}>To the deployments</Action>
    </Empty>
  );
}
