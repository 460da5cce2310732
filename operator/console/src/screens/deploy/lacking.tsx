import { type Lacking, supplyLine } from "../../pure/promotion.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";

interface Props {
  lacking: Lacking[];
  /** What the target is called. */
  place: string;
  /** Looks whether it is there now. */
  look: () => void;
}

/** What has to be in the target before a promotion, who makes it, and the line that does. */
export function LackingNotice({ lacking, place, look }: Props) {
  const kinds = [...new Set(lacking.map(({ kind }) => `${kind}s`))].join(" and ");
  return (
    <div class="notice warn lacking" role="alert">
      <strong>First, {place} needs what the App reads there:</strong>
      <ul>
        {lacking.map((each) => (
          <li key={`${each.kind} ${each.name}`}>
            <span class="break">{inWords(each)}</span>
            <Command text={supplyLine(each)} />
          </li>
        ))}
      </ul>
      <span class="small">
        Anyone who may write {kinds} in namespace {lacking[0]?.namespace} can do this. Nothing is copied from here.
      </span>
      <Action tiny onClick={look}>
        Look again
      </Action>
    </div>
  );
}

/** `Secret openai with token, for the variable TOKEN`. */
function inWords({ kind, name, keys, variables, isThere }: Lacking): string {
  const what = isThere ? `${keys.join(", ")} in ${kind} ${name}` : `${kind} ${name} with ${keys.join(", ")}`;
  return `${what}, for the variable${variables.length === 1 ? "" : "s"} ${variables.join(", ")}`;
}
