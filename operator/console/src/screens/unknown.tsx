import { inProject } from "../state/project.ts";
import { Empty } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";

/** No screen has this address. */
export function UnknownScreen() {
  useTitle("No such page");
  return (
    <Empty title="There is no such page" level={1}>
      <p class="muted">The link may be cut, or of another version of the console.</p>
      <a class="button" href={inProject("/console/")}>
        To the deployments
      </a>
    </Empty>
  );
}
