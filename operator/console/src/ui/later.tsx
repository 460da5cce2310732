import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../api/problem.ts";
import { Failure, Skeleton } from "./states.tsx";

const TRIES_AFTER = 1_000;
const GONE = "This part of the console could not be loaded: the API is down, or has a newer console.";

/** Components whose code is not in the first file. */
export interface Later<Parts> {
  /** Loads the code, once. Throws where it cannot be loaded; the next call tries again. */
  load: () => Promise<Parts>;
  /** One of the components: until its code is there it shows that it loads. */
  part: <Name extends keyof Parts>(name: Name) => Parts[Name];
}

export function later<Parts extends object>(read: () => Promise<Parts>): Later<Parts> {
  let found: Parts | undefined;
  let loading: Promise<Parts> | undefined;

  async function tryTwice(): Promise<Parts> {
    try {
      const parts = await read().catch(() => new Promise((again) => setTimeout(again, TRIES_AFTER)).then(read));
      found = parts;
      return parts;
    } catch (thrown) {
      loading = undefined;
      throw thrown;
    }
  }
  const load = () => {
    loading ??= tryTwice();
    return loading;
  };

  function part<Name extends keyof Parts>(name: Name): Parts[Name] {
    function Part(given: object): JSX.Element {
      const [parts, setParts] = useState(found);
      const [isGone, setGone] = useState(false);
      useEffect(() => {
        if (parts === undefined) load().then(setParts, () => setGone(true));
      }, [parts]);
      if (parts !== undefined) {
        const Component = parts[name] as ComponentType<object>;
        return <Component {...given} />;
      }
      // The page that is loaded anew knows the names of the newer files.
      if (isGone) return <Failure problem={new Problem(0, "gone", GONE)} retry={() => location.reload()} />;
      return <Skeleton lines={6} />;
    }
    return Part as Parts[Name];
  }
  return { load, part };
}
