import { useEffect, useRef } from "preact/hooks";
import { type Meanwhile, type Settings, taken } from "../../pure/settings.ts";
import { Said } from "./said.tsx";

/** A field that others changed, and which of both the reader has chosen. */
export interface Choice extends Meanwhile {
  chosen?: "mine" | "now";
}

interface Props {
  choices: Choice[];
  /** Somebody tried to save, and a choice is missing. */
  isAsking: boolean;
  mine: Settings;
  now: Settings;
  settings: Settings;
  onChoice: (choices: Choice[], settings: Settings) => void;
}

/** What others changed while the form was open, by field: the reader keeps theirs, or takes the new one. */
export function ChangedMeanwhile({ choices, isAsking, mine, now, settings, onChoice }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.focus(), []);
  const choose = (choice: Choice, chosen: "mine" | "now") =>
    onChoice(
      choices.map((each) => (each.field === choice.field ? { ...each, chosen } : each)),
      taken(settings, chosen === "mine" ? mine : now, choice.field),
    );
  const both = choices.filter((each) => each.mine !== undefined);
  const theirs = choices.filter((each) => each.mine === undefined);
  return (
    <div ref={box} class="meanwhile column" role="alert" tabIndex={-1}>
      <h3>Somebody else changed this App while you were here. Nothing is saved yet.</h3>
      {both.map((choice) => (
        <Both key={choice.field} choice={choice} isAsking={isAsking} onChoice={(chosen) => choose(choice, chosen)} />
      ))}
      {theirs.length > 0 && (
        <ul class="small">
          {theirs.map(({ field, label, now: current }) => (
            <li key={field} class="break">
              <strong>{label}</strong> is now{" "}
              <code>
                <Said text={current} />
              </code>
              . You did not change it: it stays so.
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Both({
  choice,
  isAsking,
  onChoice,
}: {
  choice: Choice;
  isAsking: boolean;
  onChoice: (chosen: "mine" | "now") => void;
}) {
  const isOpen = isAsking && choice.chosen === undefined;
  return (
    <fieldset class="choice" data-undecided={isOpen || undefined}>
      <legend>
        {choice.label} <span class="muted">was </span>
        <code>
          <Said text={choice.before} />
        </code>
      </legend>
      <label>
        <input
          type="radio"
          name={`meanwhile ${choice.field}`}
          checked={choice.chosen === "mine"}
          onChange={() => onChoice("mine")}
        />
        <span class="break">
          Keep mine:{" "}
          <code>
            <Said text={choice.mine ?? null} />
          </code>
        </span>
      </label>
      <label>
        <input
          type="radio"
          name={`meanwhile ${choice.field}`}
          checked={choice.chosen === "now"}
          onChange={() => onChoice("now")}
        />
        <span class="break">
          Take the new one:{" "}
          <code>
            <Said text={choice.now} />
          </code>
        </span>
      </label>
      {isOpen && <span class="wrong small">Choose one</span>}
    </fieldset>
  );
}
